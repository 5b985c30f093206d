package import MartletJSON

extension Tokenizer {
    /// Reads Hugging Face's `tokenizer.json`.
    ///
    /// - Throws: ``TokenizerError/malformed(source:offences:)`` with all that is wrong,
    ///   ``TokenizerError/unsupported(source:feature:remedy:)`` for a part that no library defines.
    public init(json bytes: [UInt8]) throws(TokenizerError) {
        let root: JSON
        do {
            root = try JSON(parsing: bytes)
        } catch {
            throw .malformed(source: "tokenizer.json", offences: [error.description])
        }
        try self.init(json: root)
    }

    /// The tokenizer that the parsed `tokenizer.json` describes.
    package init(json root: JSON) throws(TokenizerError) {
        self.init(try TokenizerJSON.parts(root))
    }
}

/// A reader of a whole `tokenizer.json`: its stages, added tokens and lengths.
enum TokenizerJSON {
    static func parts(_ root: JSON) throws(TokenizerError) -> Tokenizer.Parts {
        let reader = try StageReader(root, path: "the file")
        var problems = Problems()
        let normalizer = stage(reader, "normalizer", &problems) { json, path throws(TokenizerError) in
            try NormalizerReader.read(json, path: path)
        }
        var preTokenizer = stage(reader, "pre_tokenizer", &problems) { json, path throws(TokenizerError) in
            try PreTokenizerReader.read(json, path: path)
        }
        let postProcessor = stage(reader, "post_processor", &problems) { json, path throws(TokenizerError) in
            try PostProcessorReader.read(json, path: path)
        }
        let decoder = stage(reader, "decoder", &problems) { json, path throws(TokenizerError) in
            try DecoderReader.read(json, path: path)
        }
        let namesBytes = preTokenizer?.endsInByteNames ?? false
        let model = problems.collect { () throws(TokenizerError) in
            guard let json = reader.object["model"] else { throw reader.malformed("lacks model") }
            return try ModelReader.read(json, namesBytes: namesBytes)
        }
        let added = problems.collect { () throws(TokenizerError) in try addedTokens(reader, model: model) }
        let truncation = problems.collect { () throws(TokenizerError) in try self.truncation(reader) }
        let padding = problems.collect { () throws(TokenizerError) in try self.padding(reader) }
        try problems.throwIfAny()
        guard let model, let added else { throw reader.malformed("holds no model") }

        if let bytePair = model as? BytePairModel, case .bytes = bytePair.symbols {
            preTokenizer = preTokenizer?.withoutByteNames()
        }
        var parts = Tokenizer.Parts(model: model)
        parts.normalizer = normalizer
        parts.preTokenizer = preTokenizer
        if let postProcessor { parts.postProcessor = postProcessor }
        parts.decoder = decoder
        parts.addedTokens = added
        parts.truncation = truncation
        parts.padding = padding
        parts.specialTokens = SpecialTokens(guessedFrom: added)
        return parts
    }

    /// The stage under `key`, by `read`; nil where there is none, or it has problems.
    private static func stage<Stage>(
        _ reader: StageReader, _ key: String, _ problems: inout Problems,
        _ read: (JSON, _ path: String) throws(TokenizerError) -> Stage
    ) -> Stage? {
        guard let json = reader.object[key], !json.isNull else { return nil }
        return problems.collect { () throws(TokenizerError) in try read(json, key) }
    }

    private static func addedTokens(
        _ reader: StageReader, model: (any TokenModel)?
    ) throws(TokenizerError) -> [AddedToken] {
        guard let list = reader.object["added_tokens"], !list.isNull else { return [] }
        guard let elements = list.arrayValue else {
            throw StageReader.malformed("added_tokens", "is \(list.kind), not an array")
        }
        var tokens: [AddedToken] = []
        for (index, element) in elements.enumerated() {
            let token = try StageReader(element, path: "added_tokens[\(index)]")
            let content = try token.bytes("content")
            // The reference goes by the model's number where the model has the token.
            let id: Int32
            if let known = model?.vocabulary.id(of: content) { id = known } else { id = try token.id("id") }
            guard !content.isEmpty else { continue }
            let isSpecial = try token.bool("special", default: false)
            tokens.append(
                AddedToken(
                    content: content, id: id, isSingleWord: try token.bool("single_word", default: false),
                    stripsLeft: try token.bool("lstrip", default: false),
                    stripsRight: try token.bool("rstrip", default: false),
                    isNormalized: try token.bool("normalized", default: !isSpecial), isSpecial: isSpecial))
        }
        return tokens
    }

    private static func truncation(_ reader: StageReader) throws(TokenizerError) -> Truncation? {
        guard let json = reader.object["truncation"], !json.isNull else { return nil }
        let inner = try StageReader(json, path: "truncation")
        let name = try inner.optionalString("strategy") ?? "LongestFirst"
        guard let strategy = Truncation.Strategy(rawValue: name) else {
            throw inner.unsupported("the strategy \(name)")
        }
        return Truncation(
            maximumLength: try inner.count("max_length", limit: .max), strategy: strategy,
            direction: try direction(inner), stride: try inner.count("stride", limit: .max))
    }

    private static func direction(_ reader: StageReader) throws(TokenizerError) -> Truncation.Direction {
        let name = try reader.optionalString("direction") ?? "Right"
        guard let direction = Truncation.Direction(rawValue: name) else {
            throw reader.unsupported("the direction \(name)")
        }
        return direction
    }

    private static func padding(_ reader: StageReader) throws(TokenizerError) -> Padding? {
        guard let json = reader.object["padding"], !json.isNull else { return nil }
        let inner = try StageReader(json, path: "padding")
        var length = Padding.Length.longest
        if let fixed = inner.object["strategy"]?["Fixed"] {
            guard let count = fixed.integerValue, (0...(1 << 24)).contains(count) else {
                throw inner.malformed("has a fixed length that is not from 0 to \(1 << 24)")
            }
            length = .fixed(count)
        } else if let name = inner.object["strategy"]?.stringValue, !name.utf8.elementsEqual("BatchLongest".utf8) {
            throw inner.unsupported("the strategy \(name)")
        }
        let multiple =
            inner.object["pad_to_multiple_of"].map(\.isNull) ?? true
            ? nil : try inner.count("pad_to_multiple_of", limit: 1 << 24)
        return Padding(
            length: length, direction: try direction(inner), multiple: multiple, id: try inner.id("pad_id"),
            typeID: Int32(try inner.count("pad_type_id")), token: try inner.string("pad_token"))
    }
}

/// Gathers what is wrong with the parts of a file, so that one error tells all.
struct Problems {
    private var offences: [String] = []
    private var first: TokenizerError?

    mutating func collect<Value>(_ body: () throws(TokenizerError) -> Value?) -> Value? {
        do {
            return try body()
        } catch {
            first = first ?? error
            if case .malformed(_, let found) = error {
                offences += found
            } else {
                offences.append(error.description)
            }
            return nil
        }
    }

    func throwIfAny(source: String = "tokenizer.json") throws(TokenizerError) {
        guard let first else { return }
        if offences.count == 1 { throw first }
        throw .malformed(source: source, offences: offences)
    }
}

extension SpecialTokens {
    /// The roles by the names that published vocabularies use; a `tokenizer_config.json` or a generation config says
    /// more.
    init(guessedFrom tokens: [AddedToken]) {
        self.init()
        func find(_ names: [String]) -> Int32? {
            for name in names {
                if let token = tokens.first(where: { $0.isSpecial && $0.content.elementsEqual(name.utf8) }) {
                    return token.id
                }
            }
            return nil
        }
        beginning = find(["<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "<｜begin▁of▁sentence｜>", "[BOS]"])
        ends = [
            "</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<eos>", "<end_of_turn>",
            "<｜end▁of▁sentence｜>", "<|end|>", "<|return|>", "[EOS]",
        ].compactMap { find([$0]) }
        unknown = find(["<unk>", "[UNK]"])
        padding = find(["<pad>", "[PAD]", "<|pad|>"])
        separator = find(["[SEP]", "<sep>"])
        classifier = find(["[CLS]", "<cls>"])
        mask = find(["[MASK]", "<mask>"])
    }
}
