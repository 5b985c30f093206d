import ArgumentParser
import Martlet
import MartletAPI
import MartletFormats
import MartletJSON
import MartletPlatform

/// `martlet verify`: whether logged answers are those that the model gives.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Ask a logged request again and say whether the answer is the same.",
        discussion: """
            Example: martlet serve -m path/to/model --answer-log answers.jsonl
                     martlet verify -m path/to/model answers.jsonl

            The file holds one object {"request": …, "response": …}, or one per line. The exit status is 1 where an \
            answer differs.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: "The element type of the server's KV cache: its --cache.")
    var cache = CacheType.f32

    @Argument(help: "The logged answers; - reads standard input.")
    var file: String

    func run() async throws {
        let entries = try VerifyCommand.entries(Input.bytes(file), file)
        var settings = ServedModel.Settings(threads: model.threads)
        settings.cache = cache
        let loaded = try await ServedModel.load(name: "logged", model.file(), settings)
        let check = AnswerCheck(loaded)
        var isWrong = false
        for (line, entry) in entries {
            let name = entry["response"]?["id"]?.stringValue ?? "answer \(line)"
            let verdict: AnswerCheck.Verdict
            do { verdict = try await check.check(entry) } catch let error as APIError {
                throw InputError("\(file): line \(line): \(error.message)")
            }
            switch verdict {
            case .same: Output.write("\(name): the same\n")
            case .notRepeatable: Output.write("\(name): drawn without a seed, cannot be repeated\n")
            case .otherModel(let logged, let here):
                isWrong = true
                Output.write("\(name): by another model or arithmetic (\(logged), here \(here))\n")
            case .different(let choice, let logged, let here):
                isWrong = true
                let (before, one, other) = VerifyCommand.difference(logged, here)
                Output.write(
                    "\(name): choice \(choice) differs after \(before) characters: logged \(one.quoted), here \(other.quoted)\n"
                )
            }
        }
        if isWrong { throw ReportedFailure() }
    }

    /// The number of scalars that two texts have in common at the start, and what follows in each.
    static func difference(_ logged: String, _ here: String) -> (alike: Int, logged: String, here: String) {
        let alike = zip(logged.unicodeScalars, here.unicodeScalars).prefix { $0 == $1 }.count
        func rest(_ text: String) -> String { String(String.UnicodeScalarView(text.unicodeScalars.dropFirst(alike))) }
        return (alike, rest(logged), rest(here))
    }

    /// The entries of a log, one document or one a line, with the lines where they begin.
    private static func entries(_ bytes: [UInt8], _ path: String) throws -> [(line: Int, entry: JSON)] {
        if let one = try? JSON(parsing: bytes) { return [(1, one)] }
        return try InputLines.split(bytes).enumerated().filter { !$1.isEmpty }.map { index, line in
            do throws(JSONError) { return (index + 1, try JSON(parsing: Array(line))) } catch {
                throw InputError("\(path): line \(index + 1): \(error.reason)")
            }
        }
    }
}
