import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletTokenizers

/// Which tokenizer: a model's, or a file of its own.
struct TokenizerOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The model whose tokenizer is used.")
    var model: String?

    @Option(help: "A tokenizer instead of a model: tokenizer.json or .gguf.")
    var tokenizer: String?

    func load() throws -> Tokenizer {
        switch (model, tokenizer) {
        case (nil, nil): throw UsageError("a tokenizer is needed: give a model with -m, or a file with --tokenizer")
        case (_?, _?): throw UsageError("give -m or --tokenizer, not both")
        case (nil, let path?): return try ModelText.tokenizer(path: path)
        case (let model?, nil):
            let path = try ModelOptions.path(of: model)
            return try ModelText.tokenizer(path: ModelFile.isGGUF(path) ? path : path + "/tokenizer.json")
        }
    }
}

/// `martlet tokenize`: text to ids.
struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Turn text into token ids.",
        discussion: "Example: echo -n \"Once upon a time\" | martlet tokenize -m path/to/model")

    @OptionGroup var tokenizer: TokenizerOptions

    @Argument(help: "The text file; standard input when absent or -.")
    var file = "-"

    @Flag(help: "Without the special tokens that the model expects around a text.")
    var noSpecial = false

    @Flag(help: "Each line is a text of its own.")
    var lines = false

    @Flag(help: "One JSON array of ids per text, all in one document.")
    var json = false

    @Flag(help: "With --json: objects with id, token, and start and end in UTF-8 bytes.")
    var offsets = false

    func validate() throws {
        if offsets && !json { throw ValidationError("--offsets needs --json.") }
    }

    func run() throws {
        let tokenizer = try tokenizer.load()
        let text = try Input.text(file)
        let texts = lines ? TokenizeCommand.split(text) : [text]
        let encodings = try texts.map { try tokenizer.encoding(of: $0, addSpecialTokens: !noSpecial) }
        guard json else {
            for encoding in encodings { Output.write(encoding.ids.map(String.init).joined(separator: " ") + "\n") }
            return
        }
        Output.write(JSON.array(encodings.map { list($0, tokenizer) }).text(.compact) + "\n")
    }

    private func list(_ encoding: Encoding, _ tokenizer: Tokenizer) -> JSON {
        guard offsets else { return .array(encoding.ids.map { .integer(Int($0)) }) }
        return .array(
            encoding.ids.indices.map { i in
                [
                    "id": .integer(Int(encoding.ids[i])),
                    "token": .string(tokenizer.token(encoding.ids[i]) ?? ""),
                    "start": .integer(encoding.offsets[i].start),
                    "end": .integer(encoding.offsets[i].end),
                ]
            })
    }

    /// The lines of a text without their ends; a last line without an end counts.
    static func split(_ text: String) -> [String] {
        var lines = text.utf8.split(separator: 10, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { String(decoding: $0.last == 13 ? $0.dropLast() : $0, as: UTF8.self) }
    }
}

/// `martlet detokenize`: ids to text.
struct DetokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detokenize", abstract: "Turn token ids back into text.",
        discussion: "Example: echo \"403 407 261 378\" | martlet detokenize -m path/to/model")

    @OptionGroup var tokenizer: TokenizerOptions

    @Argument(help: "A file with ids separated by spaces, one text per line; standard input when absent or -.")
    var file = "-"

    func run() throws {
        let tokenizer = try tokenizer.load()
        for (number, line) in TokenizeCommand.split(try Input.text(file)).enumerated() {
            let ids = try line.split(separator: " ").map { part in
                guard let id = Int32(part) else {
                    throw UsageError("line \(number + 1): \"\(part)\" is not a token id")
                }
                return id
            }
            Output.write(try tokenizer.decode(ids, skipSpecialTokens: true) + "\n")
        }
    }
}
