import Martlet
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTokenizers

/// A vocabulary in any of the formats that are read, told apart by name, and by content where names are shared.
struct TokenizerFile {
    let path: String
    /// The pattern that tiktoken ranks are split by: a name, or a regular expression.
    var pattern: String?
    /// The merges that belong to a vocab.json.
    var merges: String?
    /// A vocab.txt that knows upper case.
    var isCased: Bool?

    /// - Throws: what reading throws, with the path in front; ``UsageError`` when an option is missing.
    func load() throws -> Tokenizer {
        if TokenizerFile.isDirectory(path) { return try directory() }
        if ModelFile.isGGUF(path) { return try ModelText.tokenizer(path: path) }
        let bytes = try Input.bytes(path)
        do {
            return try tokenizer(bytes)
        } catch let error as TokenizerError {
            throw ModelError("\(path): \(error)")
        }
    }

    private func tokenizer(_ bytes: [UInt8]) throws -> Tokenizer {
        let isRanks = TokenizerFile.looksLikeRanks(bytes)
        if path.hasSuffix(".tiktoken") || isRanks { return try ranks(bytes) }
        if path.hasSuffix(".model") { return try Tokenizer(sentencePiece: bytes) }
        if path.hasSuffix(".txt") {
            return try Tokenizer(vocabularyText: bytes, lowercases: !(isCased ?? isCasedByConfiguration()))
        }
        guard path.hasSuffix(".json") || bytes.first == UInt8(ascii: "{") else {
            throw ModelError(
                "\(path): not a vocabulary that is known by its name; give tokenizer.json, .model, .tiktoken, vocab.txt, vocab.json or .gguf"
            )
        }
        guard let merges = try mergesFile(bytes) else { return try Tokenizer(json: bytes) }
        return try Tokenizer(vocabulary: bytes, merges: Input.bytes(merges))
    }

    /// The vocabulary of a model's directory.
    private func directory() throws -> Tokenizer {
        let names = [
            "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "vocab.json",
            "vocab.txt",
        ]
        guard let name = names.first(where: { TokenizerFile.exists(path + "/" + $0) }) else {
            throw ModelError("\(path): there is no vocabulary (\(names.joined(separator: ", ")))")
        }
        return try TokenizerFile(path: path + "/" + name, pattern: pattern, merges: merges, isCased: isCased).load()
    }

    // MARK: vocab.json

    /// The merges of a vocab.json, nil for a tokenizer.json.
    private func mergesFile(_ bytes: [UInt8]) throws -> String? {
        if let merges { return merges }
        guard let root = try? JSON(parsing: bytes), root["model"]?.objectValue == nil, root.objectValue != nil else {
            return nil
        }
        let folder = TokenizerFile.folder(of: path)
        if let found = ["merges.txt", "vocab.bpe"].map({ folder + $0 }).first(where: TokenizerFile.exists) {
            return found
        }
        throw UsageError("\(path) needs the merges that belong to it: give their file with --merges")
    }

    // MARK: vocab.txt

    /// What the tokenizer_config.json beside a vocab.txt says.
    private func isCasedByConfiguration() -> Bool {
        let path = TokenizerFile.folder(of: path) + "tokenizer_config.json"
        guard TokenizerFile.exists(path), let bytes = try? Input.bytes(path), let root = try? JSON(parsing: bytes)
        else {
            return false
        }
        return root["do_lower_case"]?.boolValue == false
    }

    // MARK: tiktoken

    /// Whether the first line is a token in base 64 and the rank 0, as in Llama 3's tokenizer.model.
    private static func looksLikeRanks(_ bytes: [UInt8]) -> Bool {
        let line = bytes.prefix(64).prefix { $0 != 10 }
        return line.count < 64 && line.suffix(2).elementsEqual(" 0".utf8)
            && line.dropLast(2).allSatisfy { (0x2B...0x7A).contains($0) }
    }

    private func ranks(_ bytes: [UInt8]) throws -> Tokenizer {
        let names = TiktokenEncoding.allCases.map(\.rawValue)
        let stem = path.split(separator: "/").last.map { $0.prefix { $0 != "." } } ?? ""
        guard let pattern = pattern ?? TiktokenEncoding(rawValue: String(stem))?.rawValue else {
            throw UsageError(
                "\(path) does not say how its texts are split: give --pattern, a name (\(names.joined(separator: ", ")), or one that GGUF files know, as llama-bpe) or a regular expression"
            )
        }
        if let encoding = TiktokenEncoding(rawValue: pattern) {
            return try Tokenizer(tiktoken: bytes, encoding: encoding)
        }
        if let known = GGUFVocabulary.pattern(named: pattern) { return try Tokenizer(tiktoken: bytes, pattern: known) }
        guard pattern.utf8.contains(where: { "\\[]()|+*?".utf8.contains($0) }) else {
            throw UsageError(
                "--pattern \(pattern) is neither a known name (\(names.joined(separator: ", "))) nor an expression")
        }
        return try Tokenizer(tiktoken: bytes, pattern: pattern)
    }

    // MARK: Paths

    private static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    private static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
