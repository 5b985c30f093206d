package import MartletJSON

extension GGUFVocabulary {
    /// The GGUF vocabulary of a `tokenizer.json`, as far as GGUF can say it: byte-level byte pairs, SentencePiece's
    /// byte pairs with byte fallback and its unigrams without, and BERT's WordPiece of lower case.
    ///
    /// Ids that the file leaves out become unused tokens, up to `count`, since ggml's matrices have a row for each.
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for other models and for pre-tokenizers that
    ///   GGUF has no name for, ``TokenizerError/malformed(source:offences:)`` for a file that is none.
    package init(tokenizerJSON root: JSON, count: Int) throws(TokenizerError) {
        let source = "tokenizer.json"
        let model = root["model"]
        if let pieces = model?["vocab"]?.arrayValue {
            self = try GGUFVocabulary(unigram: root, pieces, count: count)
            return
        }
        guard let vocabulary = model?["vocab"]?.objectValue else {
            throw .unsupported(
                source: source, feature: "a model without a vocabulary, in GGUF,",
                remedy: "convert without the tokenizer")
        }
        if model?["type"]?.stringValue == "WordPiece" {
            self = try GGUFVocabulary(wordPiece: root, vocabulary, count: count)
            return
        }
        guard let merges = model?["merges"]?.arrayValue else {
            throw .unsupported(
                source: source, feature: "a model other than byte pairs, unigrams and WordPiece, in GGUF,",
                remedy: "convert without the tokenizer")
        }
        let usesBytes = TokenizerFile.stages(root["pre_tokenizer"], "pretokenizers").contains { $0.type == "ByteLevel" }
        self.init(model: usesBytes ? "gpt2" : "llama", tokens: [])
        try readTokens(vocabulary, root["added_tokens"]?.arrayValue ?? [], count: count, source: source)
        self.merges = ByteStrings(
            merges.compactMap { merge in
                merge.stringValue.map { Array($0.utf8) }
                    ?? merge.arrayValue.map { Array($0.compactMap(\.stringValue).joined(separator: " ").utf8) }
            })
        if usesBytes {
            pre = try TokenizerFile.preTokenizer(root)
        } else {
            try readSentencePiece(root, vocabulary, source: source)
        }
        readFrame(root["post_processor"])
    }

    mutating func readTokens(
        _ vocabulary: JSONObject, _ added: [JSON], count: Int, source: String
    ) throws(TokenizerError) {
        var entries: [(id: Int, content: [UInt8], type: TokenType)] = []
        for (token, id) in vocabulary.members { entries.append((id.integerValue ?? -1, Array(token.utf8), .normal)) }
        for token in added {
            let isSpecial = token["special"]?.boolValue ?? false
            entries.append(
                (
                    token["id"]?.integerValue ?? -1, Array((token["content"]?.stringValue ?? "").utf8),
                    isSpecial ? .control : .userDefined
                ))
        }
        let limit = Vocabulary.maximumCount
        guard count <= limit, entries.allSatisfy({ (0..<limit).contains($0.id) }) else {
            throw .malformed(source: source, offences: ["an id is not from 0 to \(limit - 1)"])
        }
        let total = max(count, (entries.map(\.id).max() ?? -1) + 1)
        var tokens = (0..<total).map { Array("[PAD\($0)]".utf8) }
        types = Array(repeating: TokenType.unused.rawValue, count: total)
        for entry in entries {
            tokens[entry.id] = entry.content
            types[entry.id] = entry.type.rawValue
        }
        self.tokens = ByteStrings(tokens)
    }

    /// SentencePiece merges what gives the token of the highest score, a `tokenizer.json` in the order of its list: a
    /// token's score is minus the place of the first merge that makes it.
    private mutating func readSentencePiece(
        _ root: JSON, _ vocabulary: JSONObject, source: String
    ) throws(TokenizerError) {
        guard root["model"]?["byte_fallback"]?.boolValue == true else {
            throw .unsupported(
                source: source, feature: "a byte pair model without byte fallback, in GGUF,",
                remedy: "convert without the tokenizer")
        }
        scores = Array(repeating: 0, count: tokens.count)
        for (place, merge) in merges.enumerated().reversed() {
            let halves = merge.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
            let whole = String(decoding: halves.joined(), as: UTF8.self)
            if let id = vocabulary[whole]?.integerValue { scores[id] = -Float(place + 1) }
        }
        merges = []
        for id in tokens.indices where types[id] == TokenType.normal.rawValue && ByteTokens.byte(tokens[id]) != nil {
            types[id] = TokenType.byte.rawValue
        }
        if let unknown = root["model"]?["unk_token"]?.stringValue, let id = vocabulary[unknown]?.integerValue {
            unknownID = Int32(id)
            types[id] = TokenType.unknown.rawValue
        }
        let normalizers = TokenizerFile.stages(root["normalizer"], "normalizers")
        let splits = TokenizerFile.stages(root["pre_tokenizer"], "pretokenizers")
        addsSpacePrefix =
            normalizers.contains { $0.type == "Prepend" }
            || splits.contains { $0.type == "Metaspace" && $0.json["prepend_scheme"]?.stringValue != "never" }
    }

    /// Tokens that the post-processor puts around a text.
    mutating func readFrame(_ processor: JSON?) {
        (addsBeginning, addsEnd) = (false, false)
        let template = TokenizerFile.stages(processor, "processors").first { $0.type == "TemplateProcessing" }
        guard let items = template?.json["single"]?.arrayValue,
            let text = items.firstIndex(where: { $0["Sequence"] != nil })
        else { return }
        func id(_ items: ArraySlice<JSON>) -> Int32? {
            guard let name = items.first?["SpecialToken"]?["id"]?.stringValue else { return nil }
            let id = template?.json["special_tokens"]?[name]?["ids"]?[0]?.integerValue
            return id.flatMap { Int32(exactly: $0) }
        }
        if let id = id(items[..<text]) { (beginningID, addsBeginning) = (id, true) }
        if let id = id(items[(text + 1)...]) { (endID, addsEnd) = (id, true) }
    }
}

/// Parts of a `tokenizer.json`.
enum TokenizerFile {
    /// The stages of a part, a sequence taken apart.
    static func stages(_ json: JSON?, _ list: String) -> [(type: String, json: JSON)] {
        guard let json, let type = json["type"]?.stringValue else { return [] }
        guard type == "Sequence" else { return [(type, json)] }
        return (json[list]?.arrayValue ?? []).compactMap { stage in stage["type"]?.stringValue.map { ($0, stage) } }
    }

    /// GGUF's name of the pre-tokenizer, found by its patterns.
    static func preTokenizer(_ root: JSON) throws(TokenizerError) -> String {
        var patterns: [String] = []
        for (type, json) in stages(root["pre_tokenizer"], "pretokenizers") {
            switch type {
            case "Split": patterns.append(json["pattern"]?["Regex"]?.stringValue ?? "")
            case "Digits": patterns.append(json["individual_digits"]?.boolValue == true ? #"\p{N}"# : #"\p{N}+"#)
            case "ByteLevel": if json["use_regex"]?.boolValue ?? true { patterns.append(GGUFPreTokenizers.gpt2) }
            default: patterns.append(type)
            }
        }
        let matchesWholeWords = root["model"]?["ignore_merges"]?.boolValue ?? false
        if let name = GGUFPreTokenizers.name(patterns, matchesWholeWords: matchesWholeWords) { return name }
        throw .unsupported(
            source: "tokenizer.json", feature: "a pre-tokenizer of \(patterns), for which GGUF has no name,",
            remedy: "convert without the tokenizer")
    }
}
