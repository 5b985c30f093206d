import MartletJSON

/// A reader of the model of a `tokenizer.json`.
enum ModelReader {
    /// The model that `json` describes.
    ///
    /// - Parameter namesBytes: Whether words come as GPT-2's names of their bytes; a model whose vocabulary has all of
    ///   them then matches bytes.
    static func read(_ json: JSON, namesBytes: Bool) throws(TokenizerError) -> any TokenModel {
        let reader = try StageReader(json, path: "model")
        // Files of old have no type; what they have tells.
        let type = reader.type ?? guessedType(reader)
        switch type {
        case "BPE": return try bytePair(reader, namesBytes: namesBytes)
        case "WordPiece":
            return WordPieceModel(
                vocabulary: Vocabulary(try vocabulary(reader)), unknownToken: try reader.bytes("unk_token"),
                continuingPrefix: try reader.bytes("continuing_subword_prefix"),
                longestWord: try reader.count("max_input_chars_per_word", limit: .max))
        case "WordLevel":
            return WordLevelModel(
                vocabulary: Vocabulary(try vocabulary(reader)), unknownToken: try reader.bytes("unk_token"))
        case "Unigram": return try unigram(reader)
        default: throw reader.unsupported("the model \(reader.type ?? "without a type")")
        }
    }

    private static func guessedType(_ reader: StageReader) -> String {
        if reader.object["merges"] != nil { return "BPE" }
        if reader.object["vocab"]?.arrayValue != nil { return "Unigram" }
        return reader.object["max_input_chars_per_word"] != nil ? "WordPiece" : "unknown"
    }

    /// The pieces of a Unigram model, `[["piece", score], …]`.
    private static func unigram(_ reader: StageReader) throws(TokenizerError) -> UnigramModel {
        let elements = try reader.array("vocab")
        guard elements.count <= Vocabulary.maximumCount else {
            throw reader.malformed("has \(elements.count) pieces, over \(Vocabulary.maximumCount)")
        }
        var tokens: [[UInt8]?] = []
        var scores: [Double] = []
        for (index, element) in elements.enumerated() {
            guard let pair = element.arrayValue, pair.count == 2, let piece = pair[0].stringValue,
                let score = pair[1].doubleValue
            else { throw reader.malformed("has the piece \(index) that is not a text and a number") }
            tokens.append(Array(piece.utf8))
            scores.append(score)
        }
        var unknown: Int32?
        if let value = reader.object["unk_id"], !value.isNull {
            let id = try reader.id("unk_id")
            guard Int(id) < tokens.count else {
                throw reader.malformed("has the unk_id \(id) of \(tokens.count) pieces")
            }
            unknown = id
        }
        return UnigramModel(
            vocabulary: Vocabulary(tokens), scores: scores, unknown: unknown,
            fallsBackToBytes: try reader.bool("byte_fallback", default: false))
    }

    /// The vocabulary, `{"token": id}`, by id.
    static func vocabulary(_ reader: StageReader) throws(TokenizerError) -> [[UInt8]?] {
        guard let members = reader.object["vocab"]?.objectValue?.members else {
            throw reader.malformed("has no vocab that is an object")
        }
        return try vocabulary(members, path: "\(reader.path).vocab")
    }

    static func vocabulary(_ members: [JSONObject.Member], path: String) throws(TokenizerError) -> [[UInt8]?] {
        var tokens = [[UInt8]?](repeating: nil, count: members.count)
        var offences: [String] = []
        // Holes are allowed, yet not so many that a small file could ask for much memory.
        let limit = min(Vocabulary.maximumCount, members.count * 4 + 65_536)
        for (token, value) in members {
            guard let id = value.integerValue, (0..<limit).contains(id) else {
                if offences.count < 8 {
                    offences.append("\(path) gives '\(token)' an id that is not from 0 to \(limit - 1)")
                }
                continue
            }
            if id >= tokens.count { tokens += [[UInt8]?](repeating: nil, count: id + 1 - tokens.count) }
            if tokens[id] != nil, offences.count < 8 { offences.append("\(path) gives the id \(id) twice") }
            tokens[id] = Array(token.utf8)
        }
        guard offences.isEmpty else { throw .malformed(source: "tokenizer.json", offences: offences) }
        return tokens
    }

    private static func bytePair(_ reader: StageReader, namesBytes: Bool) throws(TokenizerError) -> BytePairModel {
        let tokens = try vocabulary(reader)
        let merges = try merges(reader)
        let unknown = try reader.optionalString("unk_token")
        var rules = BytePairBuilder.Rules()
        rules.continuingPrefix = Array((try reader.optionalString("continuing_subword_prefix") ?? "").utf8)
        rules.endSuffix = Array((try reader.optionalString("end_of_word_suffix") ?? "").utf8)
        rules.unknownToken = unknown.map { Array($0.utf8) }
        rules.fusesUnknown = try reader.bool("fuse_unk", default: false)
        rules.fallsBackToBytes = try reader.bool("byte_fallback", default: false)
        rules.matchesWholeWords = try reader.bool("ignore_merges", default: false)
        if let dropout = reader.object["dropout"], !dropout.isNull {
            let value = try reader.number("dropout")
            guard value >= 0, value <= 1 else { throw reader.malformed("has a dropout of \(value), not from 0 to 1") }
            rules.dropout = value
        }
        return try BytePairBuilder.build(
            Vocabulary(tokens), merges: merges.lazy.map { ($0[...], $1[...]) }, rules, namesBytes: namesBytes,
            source: "tokenizer.json")
    }

    /// The merges, `["a b", …]` or `[["a", "b"], …]`.
    private static func merges(_ reader: StageReader) throws(TokenizerError) -> [([UInt8], [UInt8])] {
        var merges: [([UInt8], [UInt8])] = []
        for (index, merge) in try reader.array("merges").enumerated() {
            if let line = merge.stringValue {
                guard let pair = MergeLine.parse(Array(line.utf8)) else {
                    // The version line of merges.txt may have been carried along.
                    if index == 0, line.hasPrefix("#version") { continue }
                    throw reader.malformed("has the merge \(index) '\(line)' that is not two tokens")
                }
                merges.append(pair)
            } else if let pair = merge.arrayValue, pair.count == 2, let left = pair[0].stringValue,
                let right = pair[1].stringValue
            {
                merges.append((Array(left.utf8), Array(right.utf8)))
            } else {
                throw reader.malformed("has the merge \(index) that is not two tokens")
            }
        }
        return merges
    }
}

/// A line of merges, as files of byte-pair encoding have them.
enum MergeLine {
    /// The two tokens of a line `left right`, parted by exactly one space.
    static func parse(_ line: [UInt8]) -> ([UInt8], [UInt8])? {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        return (Array(parts[0]), Array(parts[1]))
    }
}
