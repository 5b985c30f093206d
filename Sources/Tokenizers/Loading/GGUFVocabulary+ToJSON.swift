package import MartletJSON

extension GGUFVocabulary {
    /// The vocabulary as a `tokenizer.json`: the inverse of ``init(tokenizerJSON:count:)``.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for models that are not known,
    ///   ``TokenizerError/malformed(source:offences:)`` for tokens that JSON cannot hold.
    package func tokenizerJSON() throws(TokenizerError) -> JSON {
        guard ["gpt2", "llama", "bert", "t5"].contains(model) else {
            throw .unsupported(
                source: "GGUF vocabulary", feature: "tokenizer.ggml.model '\(model)', as tokenizer.json,",
                remedy: "convert without the tokenizer")
        }
        let names = try names()
        var root = JSONObject()
        root["version"] = "1.0"
        root["truncation"] = .null
        root["padding"] = .null
        root["added_tokens"] = .array(addedTokens(names))
        switch model {
        case "bert": addWordPiece(&root, names)
        case "t5": try addUnigrams(&root, names)
        case "gpt2":
            let pre = pre ?? "default"
            guard let known = GGUFPreTokenizers.find(pre), known.tokens == .bytes else {
                throw .unsupported(
                    source: "GGUF vocabulary", feature: "the pre-tokenizer tokenizer.ggml.pre '\(pre)'",
                    remedy: "convert without the tokenizer")
            }
            addBytePairs(&root, names, known)
        default: try addSentencePiece(&root, names)
        }
        return .object(root)
    }

    func type(_ id: Int) -> TokenType {
        types.indices.contains(id) ? TokenType(rawValue: types[id]) ?? .normal : .normal
    }

    private func names() throws(TokenizerError) -> [String] {
        var names: [String] = []
        names.reserveCapacity(tokens.count)
        for (id, token) in tokens.enumerated() {
            guard let name = String(validating: token, as: UTF8.self) else {
                throw .malformed(source: "GGUF vocabulary", offences: ["token \(id) is not UTF-8, which JSON needs"])
            }
            names.append(name)
        }
        return names
    }

    private func addedTokens(_ names: [String]) -> [JSON] {
        names.indices.compactMap { id in
            let type = type(id)
            guard type == .control || type == .userDefined || type == .unknown, !tokens[id].isEmpty else { return nil }
            return [
                "id": .integer(id), "content": .string(names[id]), "single_word": false, "lstrip": false,
                "rstrip": false,
                "normalized": false, "special": .bool(type != .userDefined),
            ]
        }
    }

    func vocabulary(_ names: [String]) -> JSON {
        var object = JSONObject()
        for id in names.indices where type(id) != .unused { object[names[id]] = .integer(id) }
        return .object(object)
    }

    private func addBytePairs(_ root: inout JSONObject, _ names: [String], _ known: GGUFPreTokenizer) {
        var splits: [JSON] = known.patterns.map { pattern in
            ["type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false]
        }
        splits.append([
            "type": "ByteLevel", "add_prefix_space": .bool(addsSpacePrefix ?? false), "trim_offsets": false,
            "use_regex": false,
        ])
        root["normalizer"] = .null
        root["pre_tokenizer"] = ["type": "Sequence", "pretokenizers": .array(splits)]
        root["post_processor"] = template(
            names, addsBeginning: addsBeginning ?? known.addsBeginning, addsEnd: addsEnd ?? false)
        root["decoder"] = ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
        root["model"] = [
            "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": .bool(known.matchesWholeWords),
            "vocab": vocabulary(names), "merges": .array(merges.map { .string(String(decoding: $0, as: UTF8.self)) }),
        ]
    }

    private func addSentencePiece(_ root: inout JSONObject, _ names: [String]) throws(TokenizerError) {
        guard scores.count == tokens.count else {
            throw .malformed(source: "GGUF vocabulary", offences: ["tokenizer.ggml.scores is missing"])
        }
        let addsPrefix = addsSpacePrefix ?? true
        var normalizers: [JSON] = [["type": "Replace", "pattern": ["String": " "], "content": "▁"]]
        if addsPrefix { normalizers.insert(["type": "Prepend", "prepend": "▁"], at: 0) }
        var decoders: [JSON] = [
            ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"], ["type": "Fuse"],
        ]
        if addsPrefix { decoders.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        root["normalizer"] = ["type": "Sequence", "normalizers": .array(normalizers)]
        root["pre_tokenizer"] = .null
        root["post_processor"] = template(names, addsBeginning: addsBeginning ?? true, addsEnd: addsEnd ?? false)
        root["decoder"] = ["type": "Sequence", "decoders": .array(decoders)]
        let unknown = unknownID.flatMap { names.indices.contains(Int($0)) ? JSON.string(names[Int($0)]) : nil } ?? .null
        root["model"] = [
            "type": "BPE", "dropout": .null, "unk_token": unknown, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary(names), "merges": .array(mergesByScore(names)),
        ]
    }

    /// Every way to make a token of two others, by falling score of the token, as transformers lists them.
    private func mergesByScore(_ names: [String]) -> [JSON] {
        let pieces = tokens.indices.filter { type($0) == .normal || type($0) == .userDefined }
        let ids = Dictionary(pieces.map { (tokens[$0], $0) }) { first, _ in first }
        var merges: [(score: Float, left: Int, right: Int)] = []
        for id in pieces {
            let token = tokens[id]
            var local: [(left: Int, right: Int)] = []
            for cut in token.indices.dropFirst() where token[cut] & 0xc0 != 0x80 {
                if let left = ids[Array(token[..<cut])], let right = ids[Array(token[cut...])] {
                    local.append((left, right))
                }
            }
            local.sort { ($0.left, $0.right) < ($1.left, $1.right) }
            merges += local.map { (scores[id], $0.left, $0.right) }
        }
        let order = merges.indices.sorted { (-merges[$0].score, $0) < (-merges[$1].score, $1) }
        return order.map { [.string(names[merges[$0].left]), .string(names[merges[$0].right])] }
    }

    /// The beginning before a text and the end behind it, where they are wanted.
    func template(_ names: [String], addsBeginning: Bool, addsEnd: Bool) -> JSON {
        func token(_ id: Int32?, _ isWanted: Bool) -> Int? {
            guard isWanted, let id, names.indices.contains(Int(id)) else { return nil }
            return Int(id)
        }
        let (beginning, end) = (token(beginningID, addsBeginning), token(endID, addsEnd))
        if beginning == nil && end == nil { return .null }
        func special(_ id: Int?, _ segment: Int) -> [JSON] {
            id.map { [["SpecialToken": ["id": .string(names[$0]), "type_id": .integer(segment)]]] } ?? []
        }
        func text(_ name: String, _ segment: Int) -> [JSON] {
            special(beginning, segment) + [["Sequence": ["id": .string(name), "type_id": .integer(segment)]]]
                + special(end, segment)
        }
        var tokens = JSONObject()
        for id in [beginning, end].compactMap({ $0 }) {
            tokens[names[id]] = ["id": .string(names[id]), "ids": [.integer(id)], "tokens": [.string(names[id])]]
        }
        return [
            "type": "TemplateProcessing", "single": .array(text("A", 0)), "pair": .array(text("A", 0) + text("B", 1)),
            "special_tokens": .object(tokens),
        ]
    }
}
