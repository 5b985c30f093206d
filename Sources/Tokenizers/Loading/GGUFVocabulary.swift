/// The vocabulary of a GGUF file, `tokenizer.ggml.*` as its reader found it. This module opens no GGUF files.
public struct GGUFVocabulary: Sendable {
    /// The types of tokens, `token_type`, with the numbers of SentencePiece's types of pieces.
    public enum TokenType: Int32, Sendable {
        /// A token found in text.
        case normal = 1
        /// The unknown token, which stands for text that has no token.
        case unknown = 2
        /// A control token, which marks structure and is never part of text.
        case control = 3
        /// A user-defined token, found in text before all others.
        case userDefined = 4
        /// A token that is never found.
        case unused = 5
        /// A token of one byte, spelled `<0x41>`.
        case byte = 6
    }

    /// The kind of vocabulary, `model`: gpt2, llama, bert, t5, …
    public var model: String
    /// The name of the pre-tokenizer, `pre`, for `gpt2` models.
    public var pre: String?
    /// The `tokens` as bytes: GGUF strings need not be UTF-8.
    public var tokens: ByteStrings
    /// The `scores`, one for each token, or none.
    public var scores: [Float] = []
    /// The token types, `token_type`, one for each token, or none: see ``TokenType``.
    public var types: [Int32] = []
    /// The `merges`, each two tokens with a space between.
    public var merges: ByteStrings = []
    /// The beginning-of-sequence token (BOS), `bos_token_id`.
    public var beginningID: Int32?
    /// The end-of-sequence token (EOS), `eos_token_id`.
    public var endID: Int32?
    /// The further ids that end a turn or a text (`eot_token_id`, `eom_token_id`, `fim_pad_token_id` and its like).
    /// Tokens with the spelling of an end (`<end_of_turn>`) are ends besides.
    public var otherEndIDs: [Int32] = []
    /// The unknown token, `unknown_token_id`.
    public var unknownID: Int32?
    /// The separator token, `seperator_token_id`, as the specification spells it.
    public var separatorID: Int32?
    /// The padding token, `padding_token_id`.
    public var paddingID: Int32?
    /// The classifier token, `cls_token_id`.
    public var classifierID: Int32?
    /// The mask token, `mask_token_id`.
    public var maskID: Int32?
    /// The setting that puts the beginning-of-sequence token before a text, `add_bos_token`.
    public var addsBeginning: Bool?
    /// The setting that puts the end-of-sequence token behind a text, `add_eos_token`.
    public var addsEnd: Bool?
    /// The setting that puts a separator behind a text, `add_sep_token`.
    public var addsSeparator: Bool?
    /// The setting that puts a space before a text, `add_space_prefix`.
    public var addsSpacePrefix: Bool?
    /// The setting that removes extra white space, `remove_extra_whitespaces`.
    public var removesExtraWhitespace: Bool?
    /// The compiled normalization, `precompiled_charsmap`; empty: none.
    public var precompiledCharsmap: [UInt8] = []
    /// The chat template, `tokenizer.chat_template`.
    public var chatTemplate: String?

    /// A vocabulary of these tokens; what else the file says is set afterwards.
    public init(model: String, pre: String? = nil, tokens: ByteStrings) {
        (self.model, self.pre, self.tokens) = (model, pre, tokens)
    }
}

extension Tokenizer {
    /// The tokenizer that a GGUF file describes.
    ///
    /// Matches llama.cpp, with special tokens found in the text as its `parse_special` does. As there, tokens of type
    /// control and user-defined are looked for before the text is split.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` naming a model or pre-tokenizer that is not
    ///   known, ``TokenizerError/malformed(source:offences:)`` for lists that do not fit together.
    public init(gguf file: GGUFVocabulary) throws(TokenizerError) {
        self.init(try GGUFReader(file).parts())
    }
}

/// A reader of the tokenizer in a GGUF's metadata.
struct GGUFReader {
    private static let source = "GGUF vocabulary"
    let file: GGUFVocabulary

    init(_ file: GGUFVocabulary) throws(TokenizerError) {
        self.file = file
        var offences: [String] = []
        let count = file.tokens.count
        if count == 0 || count > Vocabulary.maximumCount {
            offences.append("tokenizer.ggml.tokens has \(count) elements, not from 1 to \(Vocabulary.maximumCount)")
        }
        if !file.types.isEmpty, file.types.count != count {
            offences.append("tokenizer.ggml.token_type has \(file.types.count) elements for \(count) tokens")
        }
        if !file.scores.isEmpty, file.scores.count != count {
            offences.append("tokenizer.ggml.scores has \(file.scores.count) elements for \(count) tokens")
        }
        let ids: [(String, Int32?)] = [
            ("bos", file.beginningID), ("eos", file.endID), ("unknown", file.unknownID),
            ("seperator", file.separatorID),
            ("padding", file.paddingID), ("cls", file.classifierID), ("mask", file.maskID),
        ]
        for (name, id) in ids {
            // Files write −1 for none.
            if let id, id != -1, !(0..<count).contains(Int(id)) {
                offences.append("tokenizer.ggml.\(name)_token_id is \(id), and there are \(count) tokens")
            }
        }
        guard offences.isEmpty else { throw .malformed(source: GGUFReader.source, offences: offences) }
    }

    func parts() throws(TokenizerError) -> Tokenizer.Parts {
        var parts = try partsOfModel()
        parts.addedTokens = addedTokens()
        parts.specialTokens = specialTokens
        parts.chatTemplate = file.chatTemplate
        return parts
    }

    /// The model and what stands around it by the model's kind.
    private func partsOfModel() throws(TokenizerError) -> Tokenizer.Parts {
        switch file.model {
        case "gpt2": try bytePair(pre: file.pre ?? "default")
        case "gemma4": try bytePair(pre: "gemma4")
        case "llama": try sentencePieceBytePair()
        case "bert": wordPiece()
        case "t5": try unigram()
        default:
            throw .unsupported(
                source: GGUFReader.source, feature: "tokenizer.ggml.model '\(file.model)'",
                remedy: "gpt2, gemma4, llama, bert and t5 are")
        }
    }

    private func type(_ id: Int) -> GGUFVocabulary.TokenType {
        file.types.isEmpty ? .normal : GGUFVocabulary.TokenType(rawValue: file.types[id]) ?? .normal
    }

    /// The scores of a SentencePiece model, one for each token.
    private func scores() throws(TokenizerError) -> [Float] {
        guard file.scores.count == file.tokens.count else {
            throw .malformed(source: GGUFReader.source, offences: ["tokenizer.ggml.scores is missing"])
        }
        return file.scores
    }

    private func id(_ id: Int32?) -> Int32? { id.flatMap { $0 >= 0 ? $0 : nil } }

    private var specialTokens: SpecialTokens {
        var tokens = SpecialTokens()
        tokens.beginning = id(file.beginningID)
        tokens.ends = ([file.endID] + file.otherEndIDs).compactMap(id)
        let spelled = GGUFEndTokens.ids(in: file.tokens) { type($0) == .control }
        tokens.ends += spelled.filter { !tokens.ends.contains($0) }
        tokens.unknown = id(file.unknownID)
        tokens.padding = id(file.paddingID)
        tokens.separator = id(file.separatorID)
        tokens.classifier = id(file.classifierID)
        tokens.mask = id(file.maskID)
        return tokens
    }

    /// Control and user-defined tokens, found in the text; the former are special.
    private func addedTokens() -> [AddedToken] {
        file.tokens.indices.compactMap { index in
            let type = type(index)
            guard type == .control || type == .userDefined || type == .unknown, !file.tokens[index].isEmpty else {
                return nil
            }
            return AddedToken(content: file.tokens[index], id: Int32(index), isSpecial: type != .userDefined)
        }
    }

    /// Puts the beginning before a text and the end behind it, where the file asks for them.
    private func frame(addsBeginning: Bool, addsEnd: Bool) -> any PostProcessor {
        func item(_ token: Int32?, _ adds: Bool) -> [TemplateProcessor.Item] {
            guard adds, let token = id(token) else { return [] }
            return [.special(name: String(decoding: file.tokens[Int(token)], as: UTF8.self), ids: [token], typeID: 0)]
        }
        let before = item(file.beginningID, addsBeginning)
        let after = item(file.endID, addsEnd)
        if before.isEmpty && after.isEmpty { return PlainPostProcessor() }
        // Readers that have both ends put a separator between two texts: RoBERTa, XLM-R.
        let separator = before.isEmpty || after.isEmpty ? [] : item(file.separatorID, true)
        let between = after + (separator.isEmpty ? before : separator)
        return TemplateProcessor(
            single: before + [.sequence(0, typeID: 0)] + after,
            pair: before + [.sequence(0, typeID: 0)] + between + [.sequence(1, typeID: 1)] + after)
    }

    private func bytePair(pre: String) throws(TokenizerError) -> Tokenizer.Parts {
        guard let known = GGUFPreTokenizers.find(pre) else {
            throw .unsupported(
                source: GGUFReader.source, feature: "the pre-tokenizer tokenizer.ggml.pre '\(pre)'",
                remedy: "known are: \(GGUFPreTokenizers.names.joined(separator: ", "))")
        }
        var rules = BytePairBuilder.Rules()
        rules.matchesWholeWords = known.matchesWholeWords
        rules.fallsBackToBytes = known.tokens != .bytes
        rules.matchesNewlines = known.tokens == .textWithSign
        let model = try BytePairBuilder.build(
            Vocabulary(file.tokens), merges: merges(), rules, namesBytes: known.tokens == .bytes,
            source: GGUFReader.source,
            dropsUnusable: true)
        var parts = Tokenizer.Parts(model: model)
        var preTokenizers = try known.splits()
        if known.tokens == .bytes {
            var byteLevel = ByteLevelPreTokenizer(
                addsPrefixSpace: file.addsSpacePrefix ?? false, splitsByPattern: false, trimsOffsets: false)
            if case .bytes = model.symbols { byteLevel.namesBytes = false }
            preTokenizers.append(byteLevel)
            parts.decoder = ByteLevelDecoder()
        } else if known.tokens == .textWithSign {
            parts.normalizer = ReplaceNormalizer(pattern: FilePattern(literal: [0x20]), content: Array("▁".utf8))
            parts.decoder = SentencePieceDecoding.decoder(stripsFirstBlank: false)
        } else {
            parts.decoder = DecoderSequence(parts: [ByteFallbackDecoder(decodesEagerly: true), FuseDecoder()])
        }
        parts.preTokenizer = PreTokenizerSequence(parts: preTokenizers)
        parts.postProcessor = frame(
            addsBeginning: file.addsBeginning ?? known.addsBeginning,
            addsEnd: file.addsEnd ?? file.addsSeparator ?? known.addsSeparator)
        return parts
    }

    /// The merges as two tokens each. llama.cpp keeps those whose tokens are not there; they can never be used.
    private func merges() throws(TokenizerError) -> some RandomAccessCollection<(ArraySlice<UInt8>, ArraySlice<UInt8>)>
    {
        let lines = file.merges
        // The parting space is looked for behind the first byte, as a token may itself be a space.
        func space(_ index: Int) -> Int? {
            lines.range(of: index).dropFirst().first { lines.bytes[$0] == UInt8(ascii: " ") }
        }
        let offences = lines.indices.lazy.filter { space($0) == nil }.prefix(8).map {
            "merge \($0) is not two tokens"
        }
        guard offences.isEmpty else { throw .malformed(source: GGUFReader.source, offences: Array(offences)) }
        return lines.indices.lazy.map { index in
            let (line, space) = (lines.slice(index), space(index) ?? lines.range(of: index).upperBound)
            return (line[..<space], line[space...].dropFirst())
        }
    }

    /// BERT's: GGUF marks the beginning of a word by U+2581 where the vocabulary marks its continuation by `##`.
    private func wordPiece() -> Tokenizer.Parts {
        let sign = Array("▁".utf8)
        let tokens = file.tokens.indices.map { index -> [UInt8] in
            let token = file.tokens[index]
            if token.starts(with: sign) { return Array(token.dropFirst(sign.count)) }
            return type(index) == .normal ? Array("##".utf8) + token : token
        }
        let unknown = id(file.unknownID).map { tokens[Int($0)] } ?? Array("[UNK]".utf8)
        var parts = Tokenizer.Parts(
            model: WordPieceModel(
                vocabulary: Vocabulary(tokens), unknownToken: unknown, continuingPrefix: Array("##".utf8),
                longestWord: .max))
        parts.normalizer = BertNormalizer(
            cleansText: true, spacesIdeographs: true, stripsAccents: nil, lowercases: true)
        parts.preTokenizer = BertPreTokenizer()
        parts.decoder = WordPieceDecoder(prefix: Array("##".utf8), cleansUp: true)
        let classifier = id(file.classifierID) ?? id(file.beginningID)
        let separator = id(file.separatorID) ?? id(file.endID)
        if let classifier, let separator {
            func content(_ id: Int32) -> String { String(decoding: tokens[Int(id)], as: UTF8.self) }
            parts.postProcessor = BertProcessor(
                separator: (content(separator), separator), classifier: (content(classifier), classifier), roberta: nil)
        }
        return parts
    }

    private func unigram() throws(TokenizerError) -> Tokenizer.Parts {
        let (scores, types) = try (scores(), file.tokens.indices.map(type))
        let model = UnigramModel(
            vocabulary: Vocabulary(file.tokens), scores: scores.map(Double.init), unknown: id(file.unknownID),
            fallsBackToBytes: false,
            isPiece: { types[$0].isPiece },
            rules: UnigramModel.SentencePieceRules(
                isUserDefined: types.map { $0 == .userDefined }, isUnused: types.map { $0 == .unused }))
        var parts = Tokenizer.Parts(model: model)
        let charsmap =
            file.precompiledCharsmap.isEmpty ? nil : try Charsmap(file.precompiledCharsmap, source: GGUFReader.source)
        let addsPrefix = file.addsSpacePrefix ?? true
        parts.normalizer = SentencePieceNormalizer(
            charsmap: charsmap, addsDummyPrefix: addsPrefix,
            removesExtraBlanks: file.removesExtraWhitespace ?? true, escapesBlanks: true, blankIsSuffix: false,
            userDefined: ByteTrie([]))
        parts.decoder = SentencePieceDecoding.decoder(stripsFirstBlank: addsPrefix)
        parts.postProcessor = frame(addsBeginning: file.addsBeginning ?? false, addsEnd: file.addsEnd ?? true)
        return parts
    }

    private func sentencePieceBytePair() throws(TokenizerError) -> Tokenizer.Parts {
        let (scores, types) = try (scores(), file.tokens.indices.map(type))
        let model = ScoredBytePair.build(
            tokens: Array(file.tokens), scores: scores,
            isPiece: { types[$0].isPiece },
            unknown: id(file.unknownID) ?? 0, fallsBackToBytes: true)
        var parts = Tokenizer.Parts(model: model)
        let addsPrefix = file.addsSpacePrefix ?? true
        let sign = Array("▁".utf8)
        var normalizers: [any Normalizer] = []
        if addsPrefix { normalizers.append(PrependNormalizer(content: sign)) }
        normalizers.append(ReplaceNormalizer(pattern: FilePattern(literal: [0x20]), content: sign))
        parts.normalizer = NormalizerSequence(parts: normalizers)
        parts.decoder = SentencePieceDecoding.decoder(stripsFirstBlank: addsPrefix)
        parts.postProcessor = frame(addsBeginning: file.addsBeginning ?? true, addsEnd: file.addsEnd ?? false)
        return parts
    }
}

extension GGUFVocabulary.TokenType {
    /// True for the pieces that SentencePiece makes text of.
    var isPiece: Bool { self == .normal || self == .userDefined || self == .unused }
}
