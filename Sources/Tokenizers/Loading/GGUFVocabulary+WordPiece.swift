import MartletJSON

/// WordPiece between a `tokenizer.json` and a GGUF, where a word's first piece has "▁" before it and the others
/// nothing.
///
/// Source: llama.cpp's converter of BERT.
extension GGUFVocabulary {
    static let wordSign = "▁"
    static let continuation = "##"

    /// The vocabulary of a `tokenizer.json` with BERT's WordPiece.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for one that GGUF's readers would read
    ///   otherwise: they lower all letters and strip accents.
    init(wordPiece root: JSON, _ vocabulary: JSONObject, count: Int) throws(TokenizerError) {
        let normalizer = root["normalizer"]
        guard normalizer?["type"]?.stringValue == "BertNormalizer", normalizer?["lowercase"]?.boolValue == true,
            normalizer?["strip_accents"]?.boolValue != false,
            root["model"]?["continuing_subword_prefix"]?.stringValue ?? GGUFVocabulary.continuation
                == GGUFVocabulary.continuation
        else {
            throw .unsupported(
                source: "tokenizer.json", feature: "WordPiece other than BERT's of lower case, in GGUF,",
                remedy: "convert without the tokenizer")
        }
        self.init(model: "bert", tokens: [])
        try readTokens(vocabulary, root["added_tokens"]?.arrayValue ?? [], count: count, source: "tokenizer.json")
        tokens = ByteStrings(
            tokens.enumerated().map { id, token in
                guard types[id] == TokenType.normal.rawValue else { return Array(token) }
                let prefix = GGUFVocabulary.continuation.utf8
                return token.starts(with: prefix) && token.count > prefix.count
                    ? Array(token.dropFirst(prefix.count)) : Array(GGUFVocabulary.wordSign.utf8) + token
            })
        func id(_ spelling: String) -> Int32? {
            vocabulary[spelling]?.integerValue.flatMap { Int32(exactly: $0) }
        }
        unknownID = id(root["model"]?["unk_token"]?.stringValue ?? "[UNK]")
        (classifierID, separatorID, paddingID, maskID) = (id("[CLS]"), id("[SEP]"), id("[PAD]"), id("[MASK]"))
    }

    /// Adds what a `tokenizer.json` with BERT's WordPiece says.
    func addWordPiece(_ root: inout JSONObject, _ names: [String]) {
        let spellings = names.indices.map { id in
            if tokens[id].starts(with: GGUFVocabulary.wordSign.utf8) {
                return String(names[id].unicodeScalars.dropFirst())
            }
            return type(id) == .normal ? GGUFVocabulary.continuation + names[id] : names[id]
        }
        func spelling(_ id: Int32?) -> String? {
            id.flatMap { spellings.indices.contains(Int($0)) ? spellings[Int($0)] : nil }
        }
        root["normalizer"] = [
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": .null,
            "lowercase": true,
        ]
        root["pre_tokenizer"] = ["type": "BertPreTokenizer"]
        root["post_processor"] = .null
        let (first, last) = (classifierID ?? beginningID, separatorID ?? endID)
        if let first, let last, let classifier = spelling(first), let separator = spelling(last) {
            root["post_processor"] = [
                "type": "BertProcessing", "sep": [.string(separator), .integer(Int(last))],
                "cls": [.string(classifier), .integer(Int(first))],
            ]
        }
        root["decoder"] = ["type": "WordPiece", "prefix": .string(GGUFVocabulary.continuation), "cleanup": true]
        root["model"] = [
            "type": "WordPiece", "unk_token": .string(spelling(unknownID) ?? "[UNK]"),
            "continuing_subword_prefix": .string(GGUFVocabulary.continuation), "max_input_chars_per_word": 100,
            "vocab": vocabulary(spellings),
        ]
    }
}
