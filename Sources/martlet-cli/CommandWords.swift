import ArgumentParser
import MartletTraining

/// The words on command lines that the parser would not understand.
enum CommandWords {
    /// - Throws: ``UsageError`` for a verb that there is not, with the one that was probably meant.
    static func checkVerb(_ arguments: [String]) throws(UsageError) {
        let verbs = MartletCommand.configuration.subcommands.map { $0._commandName }
        let named = arguments.first == "help" ? arguments.dropFirst().first : arguments.first
        guard let verb = named, !verb.hasPrefix("-"), verb != "help", !verbs.contains(verb) else { return }
        let guess = NearestWord.of(verb, among: verbs).map { "; did you mean martlet \($0)?" }
        throw UsageError("there is no verb \(verb)\(guess ?? ", see martlet --help")")
    }

    /// - Throws: ``UsageError`` for an argument that is not UTF-8, which would be read as something else.
    static func checkEncoding() throws(UsageError) {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { continue }
            guard unsafe String(validatingCString: argument) == nil else { continue }
            throw UsageError("argument \(index) is not UTF-8 text")
        }
    }

    /// `--option -1` as `--option=-1`: a number that begins with a dash is no option.
    static func withNegativeNumbersJoined(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        for argument in arguments {
            let isNegative = argument.hasPrefix("-") && argument.utf8.dropFirst().first.map { $0 < 0x3A } ?? false
            if isNegative, Double(argument) != nil, let last = joined.last, last.hasPrefix("--"), last != "--",
                !last.contains("=")
            {
                joined[joined.count - 1] = last + "=" + argument
            } else {
                joined.append(argument)
            }
        }
        return joined
    }
}
