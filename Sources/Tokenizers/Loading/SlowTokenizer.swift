package import MartletJSON
import MartletPlatform

/// The files of a tokenizer that was saved without `tokenizer.json`: a vocabulary, and what its class in transformers
/// makes of it, as the `tokenizer.json` that says the same.
package struct SlowTokenizer {
    let folder: String
    let name: TokenizerClass
    /// tokenizer_config.json over special_tokens_map.json.
    let settings: JSONObject
    /// `legacy`, by which blanks go before every part of a text between added tokens; null means not.
    let isLegacy: Bool?
    /// True where the named class is Llama's, whatever class the files are read by.
    private let namesLlama: Bool
    /// Special tokens by their role that the vocabulary's file names.
    private var roles: [String: String] = [:]

    /// The `tokenizer.json` of the files in `folder`; nil where their class or their vocabulary is not known here.
    ///
    /// - Throws: ``TokenizerError`` for a vocabulary that is not what its name says, for a class that parts texts by
    ///   what stands in no file, and what reading throws.
    package static func json(in folder: String) throws -> JSON? {
        guard var tokenizer = try SlowTokenizer(folder), let model = try tokenizer.model() else { return nil }
        tokenizer.roles = model.roles
        return try tokenizer.assembled(model)
    }

    /// The `tokenizer.json` in `folder`, or that of the older files there; nil where there are neither.
    package static func jsonOrFile(in folder: String) throws -> JSON? {
        let path = folder + "/tokenizer.json"
        return fileExists(path) ? try JSON(contentsOf: path) : try json(in: folder)
    }

    private init?(_ folder: String) throws {
        func object(_ name: String) throws -> JSONObject {
            let path = "\(folder)/\(name)"
            return fileExists(path) ? try JSON(contentsOf: path, as: .python).objectValue ?? JSONObject() : JSONObject()
        }
        let configuration = try object("tokenizer_config.json")
        var settings = try object("special_tokens_map.json")
        for (key, value) in configuration.members where !value.isNull { settings[key] = value }
        let config = try object("config.json")
        let modelType = config["model_type"]?.stringValue
        let named = (settings["tokenizer_class"] ?? config["tokenizer_class"])?.stringValue
        if let (name, what) = TokenizerClass.parting(ofClass: named, modelType: modelType) {
            throw TokenizerError.unsupported(
                source: folder, feature: "the tokenizer class \(name), which parts texts by \(what),",
                remedy: "give texts as tokens (--tokens), or a tokenizer.json")
        }
        let known = TokenizerClass(
            name: named, modelType: modelType, hasPieces: try SlowTokenizer.hasPieces(folder))
        guard let known = fileExists("\(folder)/tekken.json") ? .tekken : known else { return nil }
        (self.folder, name, self.settings) = (folder, known, settings)
        namesLlama = TokenizerClass.begins(ofClass: named)
        isLegacy = configuration["legacy"].map { $0.boolValue ?? false }
    }

    /// Returns whether `tokenizer.model` is SentencePiece's, whose first field is a piece, and not tiktoken's ranks.
    private static func hasPieces(_ folder: String) throws -> Bool {
        let path = folder + "/tokenizer.model"
        return fileExists(path) ? try fileBytes(path).first == 10 : false
    }

    func flag(_ key: String, default standard: Bool) -> Bool { settings[key]?.boolValue ?? standard }

    func bytes(_ names: String...) throws -> [UInt8]? {
        try names.map { "\(folder)/\($0)" }.first { fileExists($0) }.map { try fileBytes($0) }
    }

    /// The numbers that tokens may have.
    static let numbers = 0..<Int(Int32.max)

    // MARK: - Vocabularies

    /// A model as `tokenizer.json` has it, the numbers of its tokens, and the file of pieces that it was read from.
    struct Model {
        let json: JSON
        let ids: [ExactKey: Int]
        var file: SentencePieceFile?
        /// Further tokens that no text is split by, and whether they are special.
        var further: [(content: String, isSpecial: Bool)] = []
        /// The numbers of tokens that are in no file.
        var numbers: [(content: String, id: Int)] = []
        /// Special tokens by their role that the file names.
        var roles: [String: String] = [:]
        /// The expression that its file splits texts by.
        var pattern: String?
    }

    /// The model; nil where its files are not here.
    private func model() throws -> Model? {
        switch name {
        case .bert, .mpnet: try wordPieces()
        case .gpt2, .roberta, .deberta, .qwen2, .blenderbot: try bytePairs()
        case .t5, .albert, .xlmRoberta, .camembert, .pegasus, .debertaV2, .mbart, .mbart50: try unigrams()
        case .llama, .codeLlama, .gemma, .nllb: try rankedPairs()
        case .sentencePiece: try pieces()
        case .m2m100: try numberedPieces()
        case .byT5: singleBytes()
        case .tekken: try tekken()
        }
    }

    private func wordPieces() throws -> Model? {
        guard let bytes = try bytes("vocab.txt") else { return nil }
        var (ids, vocabulary): ([ExactKey: Int], JSONObject) = ([:], JSONObject())
        var lines = String(decoding: bytes, as: UTF8.self).utf8.split(separator: 10, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for (id, line) in lines.enumerated() {
            let token = String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
            (ids[ExactKey(token)], vocabulary[token]) = (id, .integer(id))
        }
        let model: JSON = [
            "type": "WordPiece", "unk_token": .string(token("unk_token") ?? "[UNK]"),
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": .object(vocabulary),
        ]
        return Model(json: model, ids: ids)
    }

    private func bytePairs() throws -> Model? {
        guard let vocabulary = try bytes("vocab.json", "encoder.json"),
            let merges = try bytes("merges.txt", "vocab.bpe")
        else { return nil }
        let root: JSON
        do { root = try JSON(parsing: vocabulary) } catch {
            throw TokenizerError.malformed(source: "\(folder)/vocab.json", offences: [error.description])
        }
        let ids = (root.objectValue?.members ?? []).compactMap { key, value in
            value.integerValue.flatMap { SlowTokenizer.numbers.contains($0) ? (ExactKey(key), $0) : nil }
        }
        let lines = merges.split(separator: 10).map { $0.last == 13 ? $0.dropLast() : $0 }.filter {
            !$0.isEmpty && !$0.starts(with: "#version".utf8)
        }
        let model: JSON = [
            "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": root, "merges": .array(lines.map { .string(String(decoding: $0, as: UTF8.self)) }),
        ]
        return Model(json: model, ids: Dictionary(ids) { $1 })
    }

    private func unigrams() throws -> Model? {
        guard let bytes = try bytes("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model") else {
            return nil
        }
        let file = try SentencePieceFile(bytes)
        guard file.modelType == .unigram else { return nil }
        let own = zip(file.pieces, file.scores).map { (String(decoding: $0, as: UTF8.self), Double($1)) }
        let pieces = numbered(own)
        var ids: [ExactKey: Int] = [:]
        for (id, piece) in pieces.enumerated() where ids[ExactKey(piece.0)] == nil { ids[ExactKey(piece.0)] = id }
        let unknown = ids[ExactKey(token("unk_token") ?? "<unk>")] ?? 0
        let model: JSON = [
            "type": "Unigram", "unk_id": .integer(unknown), "byte_fallback": false,
            "vocab": .array(pieces.map { [.string($0.0), .number($0.1)] }),
        ]
        return Model(json: model, ids: ids, file: file)
    }

    /// The number of T5's tokens that stand for masked parts of a text.
    var extraTokens: Int { min(max(settings["extra_ids"]?.integerValue ?? 100, 0), 1 << 16) }

    /// Pegasus' `offset`: its unknown tokens are numbered from 2 up to it.
    var firstPiece: Int { min(max(settings["offset"]?.integerValue ?? 103, 2), 1 << 16) }

    /// The pieces as the class numbers them: some put those of fairseq in front, or tokens without a text behind.
    private func numbered(_ own: [(String, Double)]) -> [(String, Double)] {
        func fixed(_ names: [String]) -> [(String, Double)] { names.map { ($0, 0) } }
        switch name {
        case .t5:
            return own + fixed((0..<extraTokens).reversed().map { "<extra_id_\($0)>" })
        case .xlmRoberta: return fixed(["<s>", "<pad>", "</s>", "<unk>"]) + own.dropFirst(3) + fixed(["<mask>"])
        case .mbart, .mbart50:
            let languages = name == .mbart ? LanguageCodes.mbart : LanguageCodes.mbart50
            return fixed(["<s>", "<pad>", "</s>", "<unk>"]) + own.dropFirst(3) + fixed(languages + ["<mask>"])
        case .camembert:
            return fixed(["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>"]) + [("<unk>NOTUSED", -100)] + own.dropFirst()
                + fixed(["<mask>"])
        case .pegasus:
            return fixed(["<pad>", "</s>", "<mask_1>", "<mask_2>"])
                + (2..<firstPiece).map { ("<unk_\($0)>", -100) } + own.dropFirst(2)
        default: return own
        }
    }

    // MARK: - What is around a model

    /// The content of the special token of a role.
    func token(_ role: String) -> String? {
        if role == TokenizerClass.language, name == .m2m100 {
            return (settings[role]?.stringValue ?? name.tokens[role]).map { "__\($0)__" }
        }
        if let named = settings[role] { return named.tokenContent }
        return name.tokens[role] ?? roles[role]
    }

    private func assembled(_ model: Model) throws -> JSON {
        let (added, ids) = try addedTokens(model)
        var root = JSONObject()
        root["version"] = "1.0"
        (root["truncation"], root["padding"]) = (.null, .null)
        root["added_tokens"] = .array(added)
        root["normalizer"] = normalizer(model)
        root["pre_tokenizer"] = preTokenizer(model)
        root["post_processor"] = postProcessor(ids)
        root["decoder"] = decoder(model)
        root["model"] = model.json
        return .object(root)
    }

    private func normalizer(_ model: Model) -> JSON {
        let map = model.file.map(SlowTokenizer.charsmap) ?? []
        let (replacing, sequence) = (SlowTokenizer.replacing, SlowTokenizer.sequence)
        let lowercases = flag("do_lower_case", default: name != .debertaV2)
        switch name {
        case .bert, .mpnet:
            return [
                "type": "BertNormalizer", "clean_text": true,
                "handle_chinese_chars": .bool(flag("tokenize_chinese_chars", default: true)),
                "strip_accents": settings["strip_accents"] ?? .null, "lowercase": .bool(lowercases),
            ]
        case .gpt2, .roberta, .deberta, .blenderbot, .mbart, .llama, .codeLlama, .byT5, .tekken: return .null
        case .gemma: return replacing(["String": " "], "▁")
        case .sentencePiece, .m2m100: return model.file.map { sequence(pieceNormalizers($0)) } ?? .null
        case .qwen2: return ["type": "NFC"]
        case .t5, .xlmRoberta, .camembert: return sequence(map)
        case .nllb where map.isEmpty: return .null
        case .pegasus, .mbart50, .nllb: return sequence(map + [replacing(["Regex": " {2,}"], " ")])
        case .albert:
            let accents: [JSON] =
                flag("keep_accents", default: false) ? [] : [["type": "NFKD"], ["type": "StripAccents"]]
            return sequence(
                [replacing(["String": "``"], "\""), replacing(["String": "''"], "\"")] + accents
                    + (lowercases ? [["type": "Lowercase"]] : []) + map)
        case .debertaV2:
            return sequence(
                (lowercases ? [["type": "Lowercase"]] : [])
                    + [
                        replacing(["Regex": "\\s{2,}|[\\n\\r\\t]"], " "), ["type": "NFC"],
                        ["type": "Strip", "strip_left": false, "strip_right": true],
                    ])
        }
    }

    private func preTokenizer(_ model: Model) -> JSON {
        func byteLevel(usesPattern: Bool) -> JSON {
            [
                "type": "ByteLevel",
                "add_prefix_space": .bool(flag("add_prefix_space", default: name == .blenderbot)),
                "trim_offsets": true, "use_regex": .bool(usesPattern),
            ]
        }
        let prefixes = flag("add_prefix_space", default: true)
        let space = SlowTokenizer.mark(prefixes ? "always" : "never", splits: true)
        switch name {
        case .bert, .mpnet: return ["type": "BertPreTokenizer"]
        case .gpt2, .roberta, .deberta, .blenderbot: return byteLevel(usesPattern: true)
        case .byT5: return byteLevel(usesPattern: false)
        case .qwen2, .tekken:
            let split: JSON = [
                "type": "Split", "pattern": ["Regex": .string(model.pattern ?? SlowTokenizer.pattern)],
                "behavior": "Isolated", "invert": false,
            ]
            return ["type": "Sequence", "pretokenizers": [split, byteLevel(usesPattern: false)]]
        case .t5, .albert, .xlmRoberta, .camembert, .mbart:
            return ["type": "Sequence", "pretokenizers": [["type": "WhitespaceSplit"], space]]
        case .gemma:
            return ["type": "Split", "pattern": ["String": " "], "behavior": "MergedWithPrevious", "invert": false]
        case .llama, .codeLlama:
            let isLegacy = name == .llama && isLegacy == true
            return SlowTokenizer.mark(prefixes ? isLegacy ? "always" : "first" : "never", splits: false)
        case .sentencePiece, .m2m100: return model.file.map { pieceSplits($0) } ?? .null
        case .debertaV2 where flag("split_by_punct", default: false):
            return ["type": "Sequence", "pretokenizers": [["type": "Punctuation", "behavior": "Isolated"], space]]
        case .pegasus, .debertaV2: return space
        case .mbart50, .nllb: return SlowTokenizer.mark("always", splits: true)
        }
    }

    /// The pattern of Qwen 2.
    private static let pattern =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        + "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

    private func decoder(_ model: Model) -> JSON {
        switch name {
        case .bert, .mpnet: ["type": "WordPiece", "prefix": "##", "cleanup": true]
        case .gpt2, .roberta, .deberta, .qwen2, .blenderbot, .byT5, .tekken:
            ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true]
        case .t5, .albert, .xlmRoberta, .camembert, .pegasus, .debertaV2, .mbart, .mbart50, .nllb:
            SlowTokenizer.mark(flag("add_prefix_space", default: true) ? "always" : "never", splits: true)
        case .llama:
            SlowTokenizer.pieceDecoder(bytes: true, stripsFirstBlank: flag("add_prefix_space", default: true))
        case .codeLlama: SlowTokenizer.pieceDecoder(bytes: true, stripsFirstBlank: true)
        case .gemma: SlowTokenizer.pieceDecoder(bytes: true, stripsFirstBlank: false)
        case .sentencePiece, .m2m100:
            SlowTokenizer.pieceDecoder(
                bytes: model.file?.fallsBackToBytes ?? false, stripsFirstBlank: model.file?.addsDummyPrefix ?? true)
        }
    }

    private func postProcessor(_ ids: [ExactKey: Int]) -> JSON {
        guard let frame = frame else {
            if name != .gpt2 && name != .qwen2 { return .null }
            return ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true]
        }
        var special = JSONObject()
        func parts(_ names: [String], segment: Int = 0) -> [JSON] {
            names.compactMap { part in
                if part == "A" || part == "B" {
                    return ["Sequence": ["id": .string(part), "type_id": .integer(segment)]]
                }
                guard let content = token(part), let id = ids[ExactKey(content)] else { return nil }
                special[content] = ["id": .string(content), "ids": [.integer(id)], "tokens": [.string(content)]]
                return ["SpecialToken": ["id": .string(content), "type_id": .integer(segment)]]
            }
        }
        let pair = parts(frame.first) + parts(frame.second, segment: frame.hasSegments ? 1 : 0)
        return [
            "type": "TemplateProcessing", "single": .array(parts(frame.single)), "pair": .array(pair),
            "special_tokens": .object(special),
        ]
    }

    /// The special tokens around a text; some classes say in their files whether there are any.
    private var frame: TokenizerClass.Frame? {
        if name == .nllb, flag("legacy_behaviour", default: false) { return TokenizerClass.mbart.frame }
        let (asks, begins) = name.asksForFrame
        guard asks else { return name.frame }
        let before = flag("add_bos_token", default: begins || namesLlama) ? ["bos_token"] : []
        let after = flag("add_eos_token", default: false) ? ["eos_token"] : []
        if before.isEmpty && after.isEmpty { return nil }
        return .init(single: before + ["A"] + after, second: before + ["B"] + after, hasSegments: true)
    }
}
