import MartletJSON

/// SentencePiece's unigrams between a `tokenizer.json` and a GGUF, whose model is then called `t5`.
///
/// Source: llama.cpp's converter of T5.
extension GGUFVocabulary {
    /// The score of tokens that no text has, as llama.cpp writes it.
    private static let never: Float = -10_000

    /// The vocabulary of a `tokenizer.json` with unigrams.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for one that GGUF's readers would read
    ///   otherwise.
    init(unigram root: JSON, _ pieces: [JSON], count: Int) throws(TokenizerError) {
        let source = "tokenizer.json"
        let normalizers = TokenizerFile.stages(root["normalizer"], "normalizers")
        let splits = TokenizerFile.stages(root["pre_tokenizer"], "pretokenizers")
        guard root["model"]?["byte_fallback"]?.boolValue != true, splits.contains(where: { $0.type == "Metaspace" }),
            normalizers.allSatisfy({ ["Precompiled", "Replace", "Strip"].contains($0.type) })
        else {
            throw .unsupported(
                source: source, feature: "unigrams other than SentencePiece's without byte fallback, in GGUF,",
                remedy: "convert without the tokenizer")
        }
        self.init(model: "t5", tokens: [])
        var vocabulary = JSONObject()
        for (id, piece) in pieces.enumerated() { vocabulary[piece[0]?.stringValue ?? ""] = .integer(id) }
        try readTokens(vocabulary, root["added_tokens"]?.arrayValue ?? [], count: count, source: source)
        scores = Array(repeating: GGUFVocabulary.never, count: tokens.count)
        for (id, piece) in pieces.enumerated() { scores[id] = Float(piece[1]?.doubleValue ?? 0) }
        unknownID = root["model"]?["unk_id"]?.integerValue.flatMap { Int32(exactly: $0) }
        if let unknownID, types.indices.contains(Int(unknownID)) { types[Int(unknownID)] = TokenType.unknown.rawValue }
        if let text = normalizers.first(where: { $0.type == "Precompiled" })?.json["precompiled_charsmap"]?.stringValue
        {
            precompiledCharsmap = Base64.decode(Array(text.utf8)) ?? []
        }
        addsSpacePrefix = splits.contains {
            $0.type == "Metaspace"
                && ($0.json["prepend_scheme"]?.stringValue.map { $0 != "never" }
                    ?? $0.json["add_prefix_space"]?.boolValue ?? true)
        }
        removesExtraWhitespace =
            splits.contains { $0.type == "WhitespaceSplit" }
            || normalizers.contains { $0.type == "Replace" && $0.json["pattern"]?["Regex"]?.stringValue == " {2,}" }
        readFrame(root["post_processor"])
    }

    /// Adds what a `tokenizer.json` with SentencePiece's unigrams says.
    func addUnigrams(_ root: inout JSONObject, _ names: [String]) throws(TokenizerError) {
        guard scores.count == tokens.count else {
            throw .malformed(source: "GGUF vocabulary", offences: ["tokenizer.ggml.scores is missing"])
        }
        // Rows of the table that stand for nothing are no pieces.
        let count = (names.indices.last { type($0) != .unused } ?? -1) + 1
        let space: JSON = [
            "type": "Metaspace", "replacement": .string(GGUFVocabulary.wordSign),
            "prepend_scheme": .string(addsSpacePrefix ?? true ? "always" : "never"), "split": true,
        ]
        root["normalizer"] =
            precompiledCharsmap.isEmpty
            ? .null
            : [
                "type": "Precompiled",
                "precompiled_charsmap": .string(String(decoding: Base64.encode(precompiledCharsmap), as: UTF8.self)),
            ]
        let splits: [JSON] = removesExtraWhitespace ?? true ? [["type": "WhitespaceSplit"], space] : [space]
        root["pre_tokenizer"] = ["type": "Sequence", "pretokenizers": .array(splits)]
        root["post_processor"] = template(names, addsBeginning: addsBeginning ?? false, addsEnd: addsEnd ?? true)
        root["decoder"] = space
        root["model"] = [
            "type": "Unigram", "unk_id": unknownID.map { .integer(Int($0)) } ?? .null, "byte_fallback": false,
            "vocab": .array((0..<count).map { [.string(names[$0]), .number(Double(scores[$0]))] }),
        ]
    }
}
