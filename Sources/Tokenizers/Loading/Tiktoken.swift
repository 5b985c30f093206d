/// The published vocabularies of tiktoken: their pattern and their special tokens.
public enum TiktokenEncoding: String, Sendable, CaseIterable {
    /// GPT-2, 50,257 tokens.
    case gpt2
    /// GPT-3; the same tokens.
    case r50k = "r50k_base"
    /// Codex, 50,281 tokens: runs of blanks besides.
    case p50k = "p50k_base"
    /// GPT-3.5 and GPT-4, 100,277 tokens.
    case cl100k = "cl100k_base"
    /// GPT-4o, 200,019 tokens.
    case o200k = "o200k_base"

    /// The regular expression that texts are split by.
    public var pattern: String {
        switch self {
        case .gpt2, .r50k, .p50k:
            #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#
        case .cl100k:
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"#
        case .o200k: O200KPattern.spelling
        }
    }

    /// Their special tokens and ids.
    public var specialTokens: [(String, Int32)] {
        switch self {
        case .gpt2, .r50k, .p50k: [("<|endoftext|>", 50256)]
        case .cl100k:
            [
                ("<|endoftext|>", 100_257), ("<|fim_prefix|>", 100_258), ("<|fim_middle|>", 100_259),
                ("<|fim_suffix|>", 100_260), ("<|endofprompt|>", 100_276),
            ]
        case .o200k: [("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)]
        }
    }
}

extension Tokenizer {
    /// Reads a file of tiktoken ranks (`base64-token rank` per line) for a published vocabulary.
    public init(tiktoken bytes: [UInt8], encoding: TiktokenEncoding) throws(TokenizerError) {
        try self.init(tiktoken: bytes, pattern: encoding.pattern, specialTokens: encoding.specialTokens)
    }

    /// Reads a file of tiktoken ranks.
    ///
    /// - Parameters:
    ///   - pattern: The regular expression that texts are split by.
    ///   - specialTokens: Their texts and ids.
    /// - Throws: ``TokenizerError/malformed(source:offences:)`` with up to eight bad lines.
    public init(
        tiktoken bytes: [UInt8], pattern: String, specialTokens: [(String, Int32)] = []
    ) throws(TokenizerError) {
        self.init(try TiktokenReader.parts(bytes, pattern: pattern, specialTokens: specialTokens))
    }
}

/// A reader of tiktoken ranks.
enum TiktokenReader {
    private static let source = "tiktoken ranks"

    static func parts(
        _ bytes: [UInt8], pattern: String, specialTokens: [(String, Int32)]
    ) throws(TokenizerError) -> Tokenizer.Parts {
        let tokens = try tokens(bytes)
        guard let model = BytePairBuilder.build(ranked: tokens) else {
            throw .malformed(source: source, offences: ["a byte from 0 to 255 has no token of its own"])
        }
        var parts = Tokenizer.Parts(model: model)
        parts.preTokenizer = SplitPreTokenizer(
            pattern: try FilePattern(regex: pattern), behavior: .isolated, inverted: false)
        parts.decoder = BytesDecoder()
        parts.addedTokens = specialTokens.map { AddedToken(content: Array($0.0.utf8), id: $0.1, isSpecial: true) }
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        return parts
    }

    private static func tokens(_ bytes: [UInt8]) throws(TokenizerError) -> [[UInt8]?] {
        var entries: [(token: [UInt8], rank: Int)] = []
        var offences: [String] = []
        for (number, line) in bytes.split(separator: 10).enumerated() {
            let parts = line.filter { $0 != 13 }.split(separator: 0x20)
            guard parts.count == 2, let token = Base64.decode(parts[0]), !token.isEmpty,
                let rank = Int(String(decoding: parts[1], as: UTF8.self)), (0..<Vocabulary.maximumCount).contains(rank)
            else {
                if offences.count < 8 { offences.append("line \(number + 1) is not a token in base 64 and its rank") }
                continue
            }
            entries.append((token, rank))
        }
        let limit = entries.count * 4 + 65_536
        var tokens = [[UInt8]?](repeating: nil, count: min((entries.map(\.rank).max() ?? -1) + 1, limit))
        for (token, rank) in entries {
            guard rank < limit, tokens[rank] == nil else {
                if offences.count < 8 { offences.append("the rank \(rank) is given twice or far too high") }
                continue
            }
            tokens[rank] = token
        }
        guard offences.isEmpty else { throw .malformed(source: source, offences: offences) }
        return tokens
    }
}

extension BytePairBuilder {
    /// A model in which two neighbours merge when they make a token, the lowest id first: tiktoken's.
    ///
    /// - Returns: nil when a byte has no token.
    static func build(ranked tokens: [[UInt8]?]) -> BytePairModel? {
        let vocabulary = Vocabulary(tokens)
        let ids = (0...255).map { vocabulary.id(of: [UInt8($0)]) ?? -1 }
        guard ids.allSatisfy({ $0 >= 0 }) else { return nil }
        var entries: [(left: Int32, right: Int32, merge: MergeTable.Merge)] = []
        for (id, token) in tokens.enumerated() {
            guard let token, vocabulary.id(of: token) == Int32(id) else { continue }
            let bytes = token.span
            for cut in stride(from: 1, to: bytes.count, by: 1) {
                let (left, right) = (
                    vocabulary.find(bytes.extracting(0..<cut)), vocabulary.find(bytes.extracting(cut..<bytes.count))
                )
                if left >= 0, right >= 0 {
                    entries.append((left, right, MergeTable.Merge(rank: UInt32(id), id: Int32(id))))
                }
            }
        }
        var rules = Rules()
        rules.matchesWholeWords = true
        return BytePairModel(
            vocabulary: vocabulary, matching: vocabulary, merges: MergeTable(entries),
            symbols: .bytes(ids: FrozenArray(ids)), matchesWholeWords: true, rules: rules,
            joints: nil)
    }
}
