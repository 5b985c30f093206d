import ArgumentParser
import Martlet
import MartletDistributed
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTokenizers

/// The options for a tokenizer: a model's, or a file of its own.
struct TokenizerOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "The model whose tokenizer is used.")
    var model: String?

    @Option(
        help:
            "A vocabulary instead of a model: tokenizer.json, .model, .tiktoken, vocab.txt, vocab.json with merges.txt, .gguf."
    )
    var tokenizer: String?

    @Option(
        help:
            "The pattern that splits text for a .tiktoken: cl100k_base, o200k_base, …, llama-bpe, …, or a regular expression."
    )
    var pattern: String?

    @Option(help: "The merges of a vocab.json (default: merges.txt beside it).")
    var merges: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Whether a vocab.txt distinguishes case (default: from tokenizer_config.json, else not).")
    var cased: Bool?

    /// The two vocabularies of a Marian directory, where the model that is named has such and no other.
    func marian() throws -> MarianVocabulary? {
        guard let model, tokenizer == nil else { return nil }
        let path = try ModelLocation.path(of: model)
        guard !fileExists(path + "/tokenizer.json"), MarianVocabulary.isIn(path) else { return nil }
        return try MarianVocabulary(directory: path)
    }

    func load() throws -> Tokenizer {
        switch (model, tokenizer) {
        case (nil, nil): return try ModelText.tokenizer(path: EmbeddedModel.path())
        case (_?, _?): throw UsageError("give -m or --tokenizer, not both")
        case (nil, let path?): return try load(path)
        case (let model?, nil): return try load(ModelLocation.path(of: model))
        }
    }

    private func load(_ path: String) throws -> Tokenizer {
        if ModelFile.isGGUF(path) { return try ModelText.tokenizer(path: path) }
        do {
            return try Tokenizer(path: path, VocabularyHints(pattern: pattern, merges: merges, isCased: cased))
        } catch let error as TokenizerError {
            guard case .incomplete = error else { throw error }
            throw UsageError(error.description)
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

    @Flag(help: "Leave out the special tokens that the model expects around a text.")
    var noSpecial = false

    @Flag(help: "Encode each line as a text of its own, in bounded memory.")
    var lines = false

    @Flag(help: "One JSON document: an array of ids per text.")
    var json = false

    @Flag(help: "One JSON array of ids per line, as results come.")
    var jsonLines = false

    @Flag(help: "With --json: objects with id, token, and start and end in UTF-8 bytes.")
    var offsets = false

    @OptionGroup var lengths: LengthOptions

    @Option(help: "Threads that encode lines (default: one per processor).")
    var threads: Int?

    @OptionGroup var ranks: RankOptions

    func validate() throws {
        try ResultForm.check(json: json, jsonLines: jsonLines)
        if ranks.ranks ?? 1 > 1, !lines { throw ValidationError("--ranks share lines: add --lines.") }
        if offsets && !isJSON { throw ValidationError("--offsets needs --json or --json-lines.") }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but must be between 1 and 1024.")
        }
    }

    /// True for one document, rather than plain ids or a line of JSON for each text.
    private var isDocument: Bool { json && !jsonLines }
    private var isJSON: Bool { json || jsonLines }

    func run() throws {
        try ranks.launch(threads: threads)
        if let vocabulary = try tokenizer.marian() {
            try ranks.refuse("tokenize with a Marian vocabulary")
            return try run(vocabulary)
        }
        let tokenizer = try tokenizer.load()
        let lengths = try lengths.settings(of: tokenizer, addsSpecialTokens: !noSpecial)
        guard lines else {
            try ranks.refuse("tokenize without --lines")
            var result: [UInt8] = []
            try append(Array(Input.repairedText(file, limit: Input.longestText).utf8), tokenizer, lengths, to: &result)
            return Output.write(isDocument ? Array("[".utf8) + result + Array("]\n".utf8) : result)
        }
        try Ranks.join { try runLines(tokenizer, lengths, over: $0) }
    }

    private func runLines(
        _ tokenizer: Tokenizer, _ lengths: LengthSettings, over communicator: any Communicator
    ) throws {
        let work = { [self] (text: [UInt8], result: inout [UInt8]) throws in
            for line in InputLines.split(text) {
                if isDocument, !result.isEmpty { result.append(UInt8(ascii: ",")) }
                try append(Array(line), tokenizer, lengths, to: &result)
            }
        }
        var isFirst = true
        let handOn = { [isDocument] (part: [UInt8]) in
            guard !part.isEmpty else { return }
            if isDocument { Output.write(isFirst ? "[" : ",") }
            isFirst = false
            Output.write(part)
        }
        if communicator.size == 1 {
            try ParallelLines(file, threads: threads ?? Processors.availableCores(), work).run(handOn)
        } else {
            try Ranks.requireFile(file, over: communicator)
            var reader = try InputLines(file, batchSize: 1 << 20)
            try Ranks.inTurn(over: communicator) {
                try reader.nextText()
            } _: {
                var result: [UInt8] = []
                try work($0, &result)
                return result
            } handOn: {
                handOn($0)
            }
        }
        if isDocument, communicator.rank == 0 { Output.write(isFirst ? "[]\n" : "]\n") }
    }

    /// The ids that a translator reads.
    private func run(_ vocabulary: MarianVocabulary) throws {
        if offsets || lengths.areGiven {
            throw UsageError("--offsets, --truncation, --stride and --padding are not known of Marian's vocabularies")
        }
        let bytes = Array(try Input.repairedText(file).utf8)
        let texts =
            lines
            ? InputLines.split(bytes).map { String(decoding: $0, as: UTF8.self) }
            : [String(decoding: bytes, as: UTF8.self)]
        let ids = try texts.map { try vocabulary.read($0, addSpecialTokens: !noSpecial) }
        if isDocument {
            Output.write(JSON.array(ids.map { .array($0.map { .integer(Int($0)) }) }).text(.compact) + "\n")
        } else if isJSON {
            for line in ids { Output.write(JSON.array(line.map { .integer(Int($0)) }).text(.compact) + "\n") }
        } else {
            for line in ids { Output.write(line.map { "\($0)" }.joined(separator: " ") + "\n") }
        }
    }

    /// Appends what is written about one text: about each of its windows, where it is cut into such.
    private func append(
        _ text: [UInt8], _ tokenizer: Tokenizer, _ lengths: LengthSettings, to result: inout [UInt8]
    ) throws {
        guard offsets || lengths.areGiven else {
            return append(try tokenizer.encode(bytes: text, addSpecialTokens: !noSpecial), to: &result)
        }
        let encoding = try tokenizer.encoding(
            of: String(decoding: text, as: UTF8.self), addSpecialTokens: !noSpecial, truncation: lengths.truncation)
        for (index, window) in lengths.windows(of: encoding).enumerated() {
            if isDocument, index > 0 { result.append(UInt8(ascii: ",")) }
            guard offsets else {
                append(window.ids, to: &result)
                continue
            }
            result += list(window, tokenizer).text(.compact).utf8
            if jsonLines { result.append(10) }
        }
    }

    private func append(_ ids: [Int32], to result: inout [UInt8]) {
        if isJSON { result.append(UInt8(ascii: "[")) }
        for (index, id) in ids.enumerated() {
            if index > 0 { result.append(isJSON ? UInt8(ascii: ",") : UInt8(ascii: " ")) }
            result.append(decimal: id)
        }
        if isJSON { result.append(UInt8(ascii: "]")) }
        if !isDocument { result.append(10) }
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
}

extension [UInt8] {
    /// Appends a number as its decimal digits.
    fileprivate mutating func append(decimal number: Int32) {
        var rest = number.magnitude
        let start = count
        repeat {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        if number < 0 { append(UInt8(ascii: "-")) }
        self[start...].reverse()
    }
}

/// `martlet detokenize`: ids to text.
struct DetokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detokenize", abstract: "Turn token ids back into text.",
        discussion: "Example: echo \"403 407 261 378\" | martlet detokenize -m path/to/model")

    @OptionGroup var tokenizer: TokenizerOptions

    @Argument(
        help: """
            A file with ids separated by spaces, one text per line, or what tokenize --json wrote; standard input when absent or -.
            """)
    var file = "-"

    @Flag(help: "Keep special tokens in the text.")
    var special = false

    func run() throws {
        let marian = try tokenizer.marian()
        let loaded = marian == nil ? try tokenizer.load() : nil
        func text(_ ids: [Int32]) throws -> String {
            try marian?.text(of: ids) ?? loaded?.decode(ids, skipSpecialTokens: !special) ?? ""
        }
        var reader = try InputLines(file)
        var (number, failures, isDocument) = (0, 0, false)
        var document: [UInt8] = []
        let limit = Input.limit
        while let batch = try reader.nextText() {
            // A document of all texts, as `tokenize --json` writes it, is read as a whole.
            if number == 0, document.isEmpty { isDocument = DetokenizeCommand.beginsDocument(batch) }
            guard isDocument else {
                failures += writeLines(batch, &number, text)
                continue
            }
            document += batch
            guard document.count <= limit else { throw Input.tooLong(file, "a document over \(limit) bytes") }
        }
        if isDocument { failures += try writeTexts(ofDocument: document, text) }
        if failures > 0 { throw ReportedFailure() }
    }

    /// Writes the texts of lines of ids.
    ///
    /// - Parameter number: The number of lines before, and with them.
    /// - Returns: How many could not be decoded.
    private func writeLines(_ batch: [UInt8], _ number: inout Int, _ text: ([Int32]) throws -> String) -> Int {
        var (texts, failures) = ("", 0)
        for line in InputLines.split(batch) {
            number += 1
            do {
                texts += try text(ids(ofLine: String(decoding: line, as: UTF8.self))) + "\n"
            } catch {
                // The others are kept, each at its place.
                Output.write(texts + "\n")
                texts = ""
                Output.note("martlet: line \(number): \(error)")
                failures += 1
            }
        }
        Output.write(texts)
        return failures
    }

    /// Writes the texts of a document. Several stand on lines of their own; one alone is written as it is, so that
    /// tokenize and detokenize are each other's inverse.
    ///
    /// - Returns: How many could not be decoded.
    private func writeTexts(ofDocument document: [UInt8], _ text: ([Int32]) throws -> String) throws -> Int {
        let texts = try JSON(parsing: document).arrayValue ?? []
        var failures = 0
        for (index, list) in texts.enumerated() {
            do {
                let decoded = try text(ids(list))
                Output.write(texts.count == 1 ? decoded : decoded + "\n")
            } catch {
                if texts.count > 1 { Output.write("\n") }
                Output.note("martlet: text \(index + 1): \(error)")
                failures += 1
            }
        }
        return failures
    }

    private static func beginsDocument(_ text: [UInt8]) -> Bool {
        text.drop { $0 <= 32 }.starts(with: "[[".utf8)
    }

    /// The ids of a line, plain or a JSON array.
    private func ids(ofLine line: String) throws -> [Int32] {
        line.utf8.first == UInt8(ascii: "[") ? try ids(JSON(parsing: line)) : try ids(line)
    }

    /// The ids of a list of numbers, or of objects that have an id.
    private func ids(_ list: JSON) throws -> [Int32] {
        guard let elements = list.arrayValue else { throw InputError("\(list.kind) is no list of token ids") }
        return try elements.map { element in
            guard let id = (element["id"] ?? element).integerValue.flatMap({ Int32(exactly: $0) }) else {
                throw InputError("\(element.text().shortened) is not a token id")
            }
            return id
        }
    }

    private func ids(_ line: String) throws -> [Int32] {
        try line.split(separator: " ").map { part in
            guard let id = Int32(part) else { throw InputError("\"\(part)\" is not a token id") }
            return id
        }
    }
}
