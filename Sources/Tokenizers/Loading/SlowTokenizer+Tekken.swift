import MartletJSON
import MartletPlatform

/// Mistral's `tekken.json`: ranks of byte pairs in base 64, behind special tokens that have the first numbers.
extension SlowTokenizer {
    /// - Throws: ``TokenizerError`` for a file of the first kind, which names no special tokens, and for one that is
    ///   none.
    func tekken() throws -> Model? {
        let path = folder + "/tekken.json"
        guard fileExists(path) else { return nil }
        let root = try JSON(contentsOf: path)
        guard let config = root["config"], let pattern = config["pattern"]?.stringValue,
            let entries = root["vocab"]?.arrayValue
        else {
            throw TokenizerError.malformed(source: path, offences: ["it has no config.pattern, or no vocab"])
        }
        guard let marks = root["special_tokens"]?.arrayValue else {
            throw TokenizerError.unsupported(
                source: path, feature: "a vocabulary without special_tokens",
                remedy: "take the model's tokenizer.json")
        }
        var special = marks.compactMap { mark -> (rank: Int, content: String)? in
            guard let rank = mark["rank"]?.integerValue, let content = mark["token_str"]?.stringValue else {
                return nil
            }
            return (rank, content)
        }
        special.sort { $0.rank < $1.rank }
        let count = config["default_num_special_tokens"]?.integerValue ?? special.count
        guard special.map(\.rank) == Array(marks.indices), count >= special.count, count <= 1 << 20 else {
            throw TokenizerError.malformed(
                source: path, offences: ["the special tokens' ranks are not those from 0 on"])
        }
        special += (special.count..<count).map { ($0, "<SPECIAL_\($0)>") }
        let size = config["default_vocab_size"]?.integerValue ?? count + entries.count
        let tokens = try entries.prefix(size > count ? size - count : 0).map { entry -> [UInt8] in
            guard let text = entry["token_bytes"]?.stringValue, let token = Base64.decode(Array(text.utf8)),
                !token.isEmpty
            else { throw TokenizerError.malformed(source: path, offences: ["a token is not in base 64"]) }
            return token
        }
        try checkLengths(ofMerged: tokens)
        return byteRanks(tokens, special.map(\.content), pattern)
    }

    /// Byte pairs by the ranks of what they make.
    private func byteRanks(_ tokens: [[UInt8]], _ special: [String], _ pattern: String) -> Model {
        func name(_ bytes: some Sequence<UInt8>) -> JSON {
            .string(String(decoding: ByteAlphabet.names(of: Array(bytes)), as: UTF8.self))
        }
        let ranks = Dictionary(tokens.enumerated().map { ($1[...], $0) }) { $1 }
        var (vocabulary, ids, merges) = (JSONObject(), [ExactKey: Int](), [JSON]())
        for (id, content) in special.enumerated() { (vocabulary[content], ids[ExactKey(content)]) = (.integer(id), id) }
        for (rank, token) in tokens.enumerated() where ranks[token[...]] == rank {
            vocabulary[name(token).stringValue ?? ""] = .integer(special.count + rank)
            var parts: [(left: Int, right: Int, cut: Int)] = []
            for cut in token.indices.dropFirst() {
                if let left = ranks[token[..<cut]], let right = ranks[token[cut...]] {
                    parts.append((left, right, cut))
                }
            }
            parts.sort { ($0.left, $0.right) < ($1.left, $1.right) }
            merges += parts.map { [name(token[..<$0.cut]), name(token[$0.cut...])] }
        }
        let json: JSON = [
            "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": .object(vocabulary), "merges": .array(merges),
        ]
        return Model(json: json, ids: ids, further: special.map { ($0, true) }, pattern: pattern)
    }
}
