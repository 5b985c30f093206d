import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletTokenizers

/// Which tokenizer: a model's, or a file of its own.
struct TokenizerOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The model whose tokenizer is used.")
    var model: String?

    @Option(
        help:
            "A vocabulary instead of a model: tokenizer.json, .model, .tiktoken, vocab.txt, vocab.json with merges.txt, .gguf."
    )
    var tokenizer: String?

    @Option(help: "How .tiktoken splits text: cl100k_base, o200k_base, …, llama-bpe, …, or a regular expression.")
    var pattern: String?

    @Option(help: "The merges of a vocab.json (default: merges.txt beside it).")
    var merges: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Whether a vocab.txt knows upper case (default: as tokenizer_config.json says, else not).")
    var cased: Bool?

    func load() throws -> Tokenizer {
        switch (model, tokenizer) {
        case (nil, nil): return try ModelText.tokenizer(path: ShippedModel.path())
        case (_?, _?): throw UsageError("give -m or --tokenizer, not both")
        case (nil, let path?): return try load(path)
        case (let model?, nil): return try load(ModelOptions.path(of: model))
        }
    }

    private func load(_ path: String) throws -> Tokenizer {
        try TokenizerFile(path: path, pattern: pattern, merges: merges, isCased: cased).load()
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

    @Flag(help: "Each line is a text of its own; of any length of input in bounded memory.")
    var lines = false

    @Flag(help: "One JSON array of ids per text, all in one document.")
    var json = false

    @Flag(help: "With --json: objects with id, token, and start and end in UTF-8 bytes.")
    var offsets = false

    @Option(help: "Threads that encode lines (default: one per processor).")
    var threads: Int?

    func validate() throws {
        if offsets && !json { throw ValidationError("--offsets needs --json.") }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but lies between 1 and 1024.")
        }
    }

    func run() throws {
        let tokenizer = try tokenizer.load()
        var writer = TextWriter(isJSON: json)
        if lines {
            var reader = try InputLines(file)
            while let batch = try reader.nextBatch() { writer.write(try results(batch, tokenizer)) }
        } else {
            writer.write(try results([Input.repairedText(file)], tokenizer))
        }
        writer.finish()
    }

    /// What is written about each text.
    private func results(_ texts: [String], _ tokenizer: Tokenizer) throws -> [String] {
        guard offsets else {
            let ids = try tokenizer.encode(batch: texts, addSpecialTokens: !noSpecial, threads: threads)
            return ids.map { ids in
                let list = ids.map(String.init).joined(separator: json ? "," : " ")
                return json ? "[\(list)]" : list
            }
        }
        return try texts.map {
            try list(tokenizer.encoding(of: $0, addSpecialTokens: !noSpecial), tokenizer).text(.compact)
        }
    }

    private func list(_ encoding: Encoding, _ tokenizer: Tokenizer) -> JSON {
        .array(
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

/// Writes one line per text, or one JSON array of all, as the texts come.
private struct TextWriter {
    let isJSON: Bool
    private var isFirst = true

    init(isJSON: Bool) { self.isJSON = isJSON }

    mutating func write(_ results: [String]) {
        guard !results.isEmpty else { return }
        Output.write(
            isJSON
                ? (isFirst ? "[" : ",") + results.joined(separator: ",") : results.map { $0 + "\n" }.joined())
        isFirst = false
    }

    func finish() {
        if isJSON { Output.write(isFirst ? "[]\n" : "]\n") }
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

    @Flag(help: "Special tokens are spelled out instead of left out.")
    var special = false

    func run() throws {
        let tokenizer = try tokenizer.load()
        var reader = try InputLines(file)
        var number = 0
        while let batch = try reader.nextBatch() {
            var texts = ""
            for line in batch {
                number += 1
                texts += try tokenizer.decode(ids(line, number), skipSpecialTokens: !special) + "\n"
            }
            Output.write(texts)
        }
    }

    private func ids(_ line: String, _ number: Int) throws -> [Int32] {
        try line.split(separator: " ").map { part in
            guard let id = Int32(part) else { throw UsageError("line \(number): \"\(part)\" is not a token id") }
            return id
        }
    }
}
