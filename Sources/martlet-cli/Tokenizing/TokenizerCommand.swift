import ArgumentParser
import MartletFormats
import MartletJSON
import MartletPlatform
import MartletTokenizers

/// `martlet tokenizer`: what is done with vocabularies themselves.
struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Train tokenizers.",
        discussion: "Example: martlet tokenizer train --kind byte-bpe --vocabulary 8000 -o tokenizer.json text.txt",
        subcommands: [TrainTokenizerCommand.self])
}

/// `martlet tokenizer train`: a vocabulary from text.
struct TrainTokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a tokenizer on text files.",
        discussion: "Example: martlet tokenizer train --kind byte-bpe --vocabulary 8000 -o tokenizer.json text.txt")

    @Argument(help: "The text files.")
    var files: [String]

    @Option(help: "bpe, byte-bpe, unigram or wordpiece.", transform: TrainTokenizerCommand.kind)
    var kind: TokenizerTrainer.Kind

    @Option(help: "The number of tokens, special ones included.")
    var vocabulary: Int

    @Option(help: "The memory for counting, as 512MB or 4GiB; what does not fit goes to a temporary file.")
    var memory: String?

    @Option(help: "The minimum number of occurrences of a pair that is merged.")
    var minimumFrequency = 2

    @Option(help: "A special token (may be repeated; default: those that the kind needs).")
    var special: [String] = []

    @Option(help: "The special token for unknown text (default: <unk> or [UNK], where it is one).")
    var unknown: String?

    @Option(help: "The share of the text's characters that the vocabulary covers, as 0.9995; the rarest are left out.")
    var characterCoverage = 1.0

    @Option(help: "The maximum number of different characters; the most frequent ones stay.")
    var alphabetLimit: Int?

    @Option(help: "Characters that are in the vocabulary whether or not they occur in the text.")
    var seedAlphabet = ""

    @Option(help: "The maximum length of a token in characters.")
    var longestToken: Int?

    @Flag(help: "Encode characters outside the vocabulary by their bytes (bpe and unigram).")
    var byteFallback = false

    @Option(
        help: "Normalize the text first: nfc, nfd, nfkc, nfkd, lowercase (may be repeated; applied in order).",
        transform: TrainTokenizerCommand.normalization)
    var normalizer: [TokenizerTrainer.Normalization] = []

    @Option(help: "Threads (default: one per processor).")
    var threads: Int?

    @Option(name: [.short, .long], help: "The tokenizer.json to write.")
    var output: String

    @OptionGroup var outputs: OutputOptions

    func validate() throws {
        if files.isEmpty { throw ValidationError("There is no text file.") }
        if special.contains(where: \.utf8.isEmpty) { throw ValidationError("--special names a token of no letters.") }
        if vocabulary < 1 { throw ValidationError("--vocabulary is \(vocabulary), but at least 1.") }
        if minimumFrequency < 1 { throw ValidationError("--minimum-frequency is \(minimumFrequency), but at least 1.") }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but must be between 1 and 1024.")
        }
    }

    func run() throws {
        try outputs.check(output, inputs: files)
        var trainer = TokenizerTrainer(kind, vocabularySize: vocabulary)
        trainer.specialTokens = special
        trainer.minimumFrequency = minimumFrequency
        trainer.unknownToken = unknown
        (trainer.characterCoverage, trainer.alphabetLimit) = (characterCoverage, alphabetLimit)
        (trainer.seedAlphabet, trainer.longestToken) = (seedAlphabet, longestToken)
        trainer.fallsBackToBytes = byteFallback
        if !normalizer.isEmpty { trainer.normalization = normalizer }
        trainer.threads = threads
        if let memory {
            trainer.memoryLimit = try TrainTokenizerCommand.bytes(memory)
        }
        let isTerminal = isatty(2) == 1
        if isTerminal { trainer.progress = TrainTokenizerCommand.report }
        defer { if isTerminal { Output.line("\r\u{1B}[K") } }
        // The file is made first: nobody waits for a training that cannot be kept.
        var file = try AtomicFile(output)
        let result: TokenizerTrainer.Result
        do {
            result = try trainer.train(files: files)
        } catch .settings(let offences) {
            throw UsageError("\(TrainingError.settings(offences))")
        }
        try file.append(Array((result.tokenizer.json().text(.pretty(indent: 2)) + "\n").utf8))
        try file.commit()
        let counted = "\(result.words) words, \(result.differentWords) different ones"
        Output.note("\(output): \(result.tokenizer.vocabularySize) tokens, from \(counted)")
        if result.malformed > 0 {
            Output.note("martlet: \(result.malformed) places in the text are not UTF-8 and were read as U+FFFD")
        }
    }

    @Sendable private static func normalization(_ name: String) throws -> TokenizerTrainer.Normalization {
        guard let form = TokenizerTrainer.Normalization(rawValue: name) else {
            let known = TokenizerTrainer.Normalization.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("It is one of \(known).")
        }
        return form
    }

    @Sendable private static func kind(_ name: String) throws -> TokenizerTrainer.Kind {
        guard let kind = TokenizerTrainer.Kind(rawValue: name) else {
            throw ValidationError(
                "It is one of \(TokenizerTrainer.Kind.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return kind
    }

    /// "512MB" is 512 · 10⁶ bytes, "512MiB" and "512M" are 512 · 2²⁰; a number alone counts bytes.
    private static func bytes(_ text: String) throws -> Int {
        var units: [(suffix: String, bytes: Double)] = [("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12)]
        for (power, letter) in ["K", "M", "G", "T"].enumerated() {
            let bytes = Double(1 << (10 * (power + 1)))
            units += [(letter, bytes), (letter + "iB", bytes), (letter.lowercased(), bytes)]
        }
        let unit = units.filter { text.hasSuffix($0.suffix) }.max { $0.suffix.count < $1.suffix.count } ?? ("", 1)
        guard let number = Double(text.dropLast(unit.suffix.count)), number > 0, number * unit.bytes < 0x1p62 else {
            throw UsageError("--memory \(text) is no size: give a number with MB, GB or MiB, GiB")
        }
        return Int(number * unit.bytes)
    }

    private static let report: @Sendable (TokenizerTrainer.Stage, Int, Int) -> Bool = { stage, done, total in
        let percent = total > 0 ? min(100, done * 100 / total) : 0
        Output.line("\r\(stage.rawValue) \(percent) %\u{1B}[K")
        return true
    }
}
