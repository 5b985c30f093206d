import MartletJSON
import MartletPlatform

/// Hints about a vocabulary that its file does not say of itself.
public struct VocabularyHints: Sendable, Hashable {
    /// The pattern that tiktoken ranks are split by: a name (`cl100k_base`, `llama-bpe`), or a regular expression.
    public var pattern: String?
    /// The file of the merges that belong to a `vocab.json`; `merges.txt` beside it when nil.
    public var merges: String?
    /// Case sensitivity of a `vocab.txt`: true where it knows upper case; as `tokenizer_config.json` says when nil,
    /// else not.
    public var isCased: Bool?

    /// Hints for vocabularies that need them.
    public init(pattern: String? = nil, merges: String? = nil, isCased: Bool? = nil) {
        (self.pattern, self.merges, self.isCased) = (pattern, merges, isCased)
    }
}

extension Tokenizer {
    /// Reads the vocabulary in a file or in a model's directory: `tokenizer.json`, SentencePiece's `.model`, tiktoken's
    /// ranks, `vocab.txt`, `vocab.json` with its merges. They are told apart by name, and by content where names are
    /// shared.
    ///
    /// GGUF files are read by the product `Martlet`: `Tokenizer(model:)`.
    ///
    /// - Throws: ``TokenizerError``, with the path in front; `FileError` for a file that cannot be read.
    public init(path: String, _ hints: VocabularyHints = VocabularyHints()) throws {
        if hints == VocabularyHints(), VocabularyFile.isFolder(path), !fileExists(path + "/tokenizer.json"),
            let json = try SlowTokenizer.json(in: path)
        {
            do { try self.init(json: json) } catch { throw error.inFile(path) }
            return
        }
        let file = VocabularyFile(path: try VocabularyFile.file(at: path), hints: hints)
        do {
            switch try file.content() {
            case .json(let bytes): try self.init(json: bytes)
            case .pieces(let bytes): try self.init(sentencePiece: bytes)
            case .text(let bytes, let lowercases): try self.init(vocabularyText: bytes, lowercases: lowercases)
            case .pairs(let vocabulary, let merges): try self.init(vocabulary: vocabulary, merges: merges)
            case .ranks(let bytes, let encoding): try self.init(tiktoken: bytes, encoding: encoding)
            case .patternedRanks(let bytes, let pattern): try self.init(tiktoken: bytes, pattern: pattern)
            }
        } catch let error as TokenizerError {
            throw error.inFile(file.path)
        }
    }
}

/// A vocabulary in any of the formats that are read.
private struct VocabularyFile {
    let path: String
    let hints: VocabularyHints

    private static let names = [
        "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "vocab.json",
        "vocab.txt",
    ]

    /// Returns whether `path` is a directory.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The file at `path`, or the vocabulary in the directory there.
    static func file(at path: String) throws(TokenizerError) -> String {
        guard isFolder(path) else { return path }
        guard let name = names.first(where: { fileExists(path + "/" + $0) }) else {
            throw .incomplete(
                source: path, missing: "a vocabulary", remedy: "known are \(names.joined(separator: ", "))")
        }
        return path + "/" + name
    }

    /// The contents of a file, by its format.
    enum Content {
        case json([UInt8])
        case pieces([UInt8])
        case text([UInt8], lowercases: Bool)
        case pairs(vocabulary: [UInt8], merges: [UInt8])
        case ranks([UInt8], TiktokenEncoding)
        case patternedRanks([UInt8], pattern: String)
    }

    func content() throws -> Content {
        let bytes = try fileBytes(path)
        if ends(with: ".tiktoken") || VocabularyFile.looksLikeRanks(bytes) { return try ranks(bytes) }
        if ends(with: ".model") { return .pieces(bytes) }
        if ends(with: ".txt") {
            return .text(bytes, lowercases: !(hints.isCased ?? isCasedByConfiguration()))
        }
        guard ends(with: ".json") || bytes.first == UInt8(ascii: "{") else {
            throw TokenizerError.unsupported(
                source: path, feature: "a vocabulary of this name",
                remedy: "give tokenizer.json, .model, .tiktoken, vocab.txt, vocab.json or .gguf")
        }
        guard let merges = try mergesFile(bytes) else { return .json(bytes) }
        return .pairs(vocabulary: bytes, merges: try fileBytes(merges))
    }

    // MARK: vocab.json

    /// The merges of a vocab.json, nil for a tokenizer.json.
    private func mergesFile(_ bytes: [UInt8]) throws -> String? {
        if let merges = hints.merges { return merges }
        guard let root = try? JSON(parsing: bytes), root["model"]?.objectValue == nil, root.objectValue != nil else {
            return nil
        }
        if let found = ["merges.txt", "vocab.bpe"].map({ folder + $0 }).first(where: { fileExists($0) }) {
            return found
        }
        throw TokenizerError.incomplete(
            source: path, missing: "the merges that belong to it", remedy: "give their file (--merges)")
    }

    // MARK: vocab.txt

    /// Returns whether the tokenizer_config.json beside a vocab.txt says that it is cased.
    private func isCasedByConfiguration() -> Bool {
        guard let root = try? JSON(contentsOf: folder + "tokenizer_config.json") else { return false }
        return root["do_lower_case"]?.boolValue == false
    }

    // MARK: tiktoken

    /// Returns whether the first line is a token in base 64 and the rank 0, as in Llama 3's tokenizer.model.
    private static func looksLikeRanks(_ bytes: [UInt8]) -> Bool {
        let line = bytes.prefix(64).prefix { $0 != 10 }
        return line.count < 64 && line.suffix(2).elementsEqual(" 0".utf8)
            && line.dropLast(2).allSatisfy { (0x2B...0x7A).contains($0) }
    }

    private func ranks(_ bytes: [UInt8]) throws(TokenizerError) -> Content {
        let names = TiktokenEncoding.allCases.map(\.rawValue).joined(separator: ", ")
        let stem = path.utf8.split(separator: UInt8(ascii: "/")).last?.prefix { $0 != UInt8(ascii: ".") }
        let named = stem.flatMap { TiktokenEncoding(rawValue: String(decoding: Array($0), as: UTF8.self)) }
        guard let pattern = hints.pattern ?? named?.rawValue else {
            throw TokenizerError.incomplete(
                source: path, missing: "the pattern that texts are split by",
                remedy: "give a name (\(names), or one that GGUF files know, as llama-bpe) or a regular expression "
                    + "(--pattern)")
        }
        if let encoding = TiktokenEncoding(rawValue: pattern) { return .ranks(bytes, encoding) }
        if let known = GGUFVocabulary.pattern(named: pattern) { return .patternedRanks(bytes, pattern: known) }
        guard pattern.utf8.contains(where: { "\\[]()|+*?".utf8.contains($0) }) else {
            throw TokenizerError.incomplete(
                source: path, missing: "a known pattern: \(pattern) is neither one of \(names) nor an expression",
                remedy: "give another one (--pattern)")
        }
        return .patternedRanks(bytes, pattern: pattern)
    }

    // MARK: Paths

    private var folder: String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[...slash])
    }

    private func ends(with suffix: String) -> Bool { path.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) }
}
