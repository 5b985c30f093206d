public import MartletJSON

extension Tokenizer {
    /// The tokenizer as Hugging Face's `tokenizer.json`.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for what that format cannot say:
    ///   SentencePiece's own normalization and its scored merges, ranks of tiktoken whose tokens GPT-2's names of bytes
    ///   would rename.
    public func json() throws(TokenizerError) -> JSON {
        var root = JSONObject()
        root["version"] = "1.0"
        root["truncation"] = truncation.map(TokenizerWriter.truncation) ?? .null
        root["padding"] = padding.map(TokenizerWriter.padding) ?? .null
        root["added_tokens"] = .array(added.tokens.map(TokenizerWriter.addedToken))
        root["normalizer"] =
            try normalizer.map { stage throws(TokenizerError) in try TokenizerWriter.normalizer(stage) } ?? .null
        root["pre_tokenizer"] =
            try preTokenizer.map { stage throws(TokenizerError) in try TokenizerWriter.preTokenizer(stage) } ?? .null
        root["post_processor"] = try TokenizerWriter.postProcessor(postProcessor, self)
        root["decoder"] =
            try decoder.map { stage throws(TokenizerError) in try TokenizerWriter.decoder(stage) } ?? .null
        root["model"] = try TokenizerWriter.model(model)
        return .object(root)
    }
}

/// The stages as `tokenizer.json` spells them.
enum TokenizerWriter {
    static func unsupported(_ feature: String) -> TokenizerError {
        .unsupported(
            source: "tokenizer.json", feature: "writing \(feature)",
            remedy: "keep the file that the tokenizer came from")
    }

    static func text(_ bytes: [UInt8]) -> JSON { .string(String(decoding: bytes, as: UTF8.self)) }
    static func scalar(_ value: UInt32) -> JSON {
        var bytes: [UInt8] = []
        bytes.appendScalar(value)
        return text(bytes)
    }

    static func object(_ type: String, _ members: (String, JSON)...) -> JSON {
        var object = JSONObject()
        object["type"] = .string(type)
        for (key, value) in members { object[key] = value }
        return .object(object)
    }

    static func addedToken(_ token: AddedToken) -> JSON {
        [
            "id": .integer(Int(token.id)), "content": text(token.content), "single_word": .bool(token.isSingleWord),
            "lstrip": .bool(token.stripsLeft), "rstrip": .bool(token.stripsRight),
            "normalized": .bool(token.isNormalized),
            "special": .bool(token.isSpecial),
        ]
    }

    static func truncation(_ truncation: Truncation) -> JSON {
        [
            "direction": .string(truncation.direction.rawValue), "max_length": .integer(truncation.maximumLength),
            "strategy": .string(truncation.strategy.rawValue), "stride": .integer(truncation.stride),
        ]
    }

    static func padding(_ padding: Padding) -> JSON {
        var strategy: JSON = "BatchLongest"
        if case .fixed(let count) = padding.length { strategy = ["Fixed": .integer(count)] }
        return [
            "strategy": strategy, "direction": .string(padding.direction.rawValue),
            "pad_to_multiple_of": padding.multiple.map(JSON.integer) ?? .null, "pad_id": .integer(Int(padding.id)),
            "pad_type_id": .integer(Int(padding.typeID)), "pad_token": .string(padding.token),
        ]
    }

    private static func pattern(_ pattern: FilePattern) -> JSON {
        switch pattern.spelling {
        case .literal(let bytes): ["String": text(bytes)]
        case .regex(let regex): ["Regex": .string(regex)]
        }
    }

    private static func all<Stage>(
        _ stages: [Stage], _ write: (Stage) throws(TokenizerError) -> JSON
    ) throws(TokenizerError) -> JSON {
        var result: [JSON] = []
        for stage in stages { result.append(try write(stage)) }
        return .array(result)
    }

    static func normalizer(_ stage: any Normalizer) throws(TokenizerError) -> JSON {
        switch stage {
        case let stage as NormalizerSequence:
            return object("Sequence", ("normalizers", try all(stage.parts, normalizer)))
        case let stage as UnicodeForm: return object(stage.rawValue)
        case let stage as PrependNormalizer: return object("Prepend", ("prepend", text(stage.content)))
        case let stage as ReplaceNormalizer:
            return object("Replace", ("pattern", pattern(stage.pattern)), ("content", text(stage.content)))
        case is LowercaseNormalizer: return object("Lowercase")
        case is StripAccentsNormalizer: return object("StripAccents")
        case is NMTNormalizer: return object("Nmt")
        case is ByteLevelNormalizer: return object("ByteLevel")
        case let stage as StripNormalizer:
            return object("Strip", ("strip_left", .bool(stage.left)), ("strip_right", .bool(stage.right)))
        case let stage as BertNormalizer:
            return object(
                "BertNormalizer", ("clean_text", .bool(stage.cleansText)),
                ("handle_chinese_chars", .bool(stage.spacesIdeographs)),
                ("strip_accents", stage.stripsAccents.map(JSON.bool) ?? .null), ("lowercase", .bool(stage.lowercases)))
        case let stage as PrecompiledNormalizer:
            return object("Precompiled", ("precompiled_charsmap", text(Base64.encode(stage.charsmap.blob))))
        default: throw unsupported("the normalization of a SentencePiece file")
        }
    }

    static func preTokenizer(_ stage: any PreTokenizer) throws(TokenizerError) -> JSON {
        switch stage {
        case let stage as PreTokenizerSequence:
            return object("Sequence", ("pretokenizers", try all(stage.parts, preTokenizer)))
        case let stage as ByteLevelPreTokenizer:
            return object(
                "ByteLevel", ("add_prefix_space", .bool(stage.addsPrefixSpace)),
                ("trim_offsets", .bool(stage.trimsOffsets)),
                ("use_regex", .bool(stage.splitsByPattern)))
        case let stage as SplitPreTokenizer:
            return object(
                "Split", ("pattern", pattern(stage.pattern)), ("behavior", .string(stage.behavior.rawValue)),
                ("invert", .bool(stage.inverted)))
        case let stage as MetaspacePreTokenizer:
            return object(
                "Metaspace", ("replacement", scalar(stage.replacement)),
                ("prepend_scheme", .string(stage.scheme.rawValue)),
                ("split", .bool(stage.splits)))
        case is WhitespacePreTokenizer: return object("Whitespace")
        case is BertPreTokenizer: return object("BertPreTokenizer")
        case is UnicodeScriptsPreTokenizer: return object("UnicodeScripts")
        case let stage as FixedLengthPreTokenizer: return object("FixedLength", ("length", .integer(stage.length)))
        case let stage as ScalarSplit:
            switch stage.kind {
            case .whitespaceSplit: return object("WhitespaceSplit")
            case .digits(let individual): return object("Digits", ("individual_digits", .bool(individual)))
            case .punctuation(let behavior): return object("Punctuation", ("behavior", .string(behavior.rawValue)))
            case .delimiter(let delimiter): return object("CharDelimiterSplit", ("delimiter", scalar(delimiter)))
            }
        default: throw unsupported("a pre-tokenizer of another format")
        }
    }

    static func decoder(_ stage: any Decoder) throws(TokenizerError) -> JSON {
        switch stage {
        case let stage as DecoderSequence: return object("Sequence", ("decoders", try all(stage.parts, decoder)))
        case is ByteLevelDecoder:
            // The reference's reader wants the settings that its decoder has no use for.
            return object("ByteLevel", ("add_prefix_space", true), ("trim_offsets", true), ("use_regex", true))
        case is FuseDecoder: return object("Fuse")
        case is ByteFallbackDecoder: return object("ByteFallback")
        case let stage as ReplaceDecoder:
            return object("Replace", ("pattern", pattern(stage.pattern)), ("content", text(stage.content)))
        case let stage as StripDecoder:
            return object(
                "Strip", ("content", scalar(stage.content)), ("start", .integer(stage.start)),
                ("stop", .integer(stage.stop)))
        case let stage as MetaspaceDecoder:
            return object(
                "Metaspace", ("replacement", scalar(stage.replacement)),
                ("prepend_scheme", .string(stage.scheme.rawValue)),
                ("split", .bool(stage.splits)))
        case let stage as WordPieceDecoder:
            return object("WordPiece", ("prefix", text(stage.prefix)), ("cleanup", .bool(stage.cleansUp)))
        case let stage as SuffixDecoder: return object("BPEDecoder", ("suffix", text(stage.suffix)))
        case let stage as CTCDecoder:
            return object(
                "CTC", ("pad_token", text(stage.padding)), ("word_delimiter_token", text(stage.delimiter)),
                ("cleanup", .bool(stage.cleansUp)))
        default: throw unsupported("a decoder of another format")
        }
    }

    static func postProcessor(_ stage: any PostProcessor, _ tokenizer: Tokenizer) throws(TokenizerError) -> JSON {
        switch stage {
        case is PlainPostProcessor: return .null
        case let stage as PostProcessorSequence:
            return object(
                "Sequence",
                (
                    "processors",
                    try all(stage.parts) { part throws(TokenizerError) in try postProcessor(part, tokenizer) }
                ))
        case let stage as ByteLevelProcessor:
            return object(
                "ByteLevel", ("add_prefix_space", .bool(stage.addsPrefixSpace)),
                ("trim_offsets", .bool(stage.trimsOffsets)),
                ("use_regex", .bool(stage.splitsByPattern)))
        case let stage as BertProcessor:
            let separator: JSON = [.string(stage.separator.content), .integer(Int(stage.separator.id))]
            let classifier: JSON = [.string(stage.classifier.content), .integer(Int(stage.classifier.id))]
            guard let roberta = stage.roberta else {
                return object("BertProcessing", ("sep", separator), ("cls", classifier))
            }
            return object(
                "RobertaProcessing", ("sep", separator), ("cls", classifier),
                ("trim_offsets", .bool(roberta.trimsOffsets)),
                ("add_prefix_space", .bool(roberta.addsPrefixSpace)))
        case let stage as TemplateProcessor: return template(stage, tokenizer)
        default: throw unsupported("a post-processor of another format")
        }
    }

    private static func template(_ stage: TemplateProcessor, _ tokenizer: Tokenizer) -> JSON {
        var specials = JSONObject()
        func items(_ items: [TemplateProcessor.Item]) -> JSON {
            .array(
                items.map { item in
                    switch item {
                    case .sequence(let index, let typeID):
                        return ["Sequence": ["id": index == 0 ? "A" : "B", "type_id": .integer(Int(typeID))]]
                    case .special(let name, let ids, let typeID):
                        specials[name] = [
                            "id": .string(name), "ids": .array(ids.map { .integer(Int($0)) }),
                            "tokens": .array(ids.map { text(tokenizer.spelling(ofToken: $0) ?? []) }),
                        ]
                        return ["SpecialToken": ["id": .string(name), "type_id": .integer(Int(typeID))]]
                    }
                })
        }
        let (single, pair) = (items(stage.single), items(stage.pair))
        return object("TemplateProcessing", ("single", single), ("pair", pair), ("special_tokens", .object(specials)))
    }

    private static func vocabulary(_ vocabulary: Vocabulary) -> JSON {
        var object = JSONObject()
        for (id, token) in vocabulary.tokens.enumerated() {
            if let token { object[String(decoding: token, as: UTF8.self)] = .integer(id) }
        }
        return .object(object)
    }

    static func model(_ model: any TokenModel) throws(TokenizerError) -> JSON {
        switch model {
        case let model as BytePairModel: return try bytePair(model)
        case let model as WordPieceModel:
            return object(
                "WordPiece", ("unk_token", text(model.unknownToken)),
                ("continuing_subword_prefix", text(model.continuingPrefix)),
                ("max_input_chars_per_word", .integer(model.longestWord)), ("vocab", vocabulary(model.vocabulary)))
        case let model as WordLevelModel:
            return object("WordLevel", ("vocab", vocabulary(model.vocabulary)), ("unk_token", text(model.unknownToken)))
        case let model as UnigramModel where model.rules == nil:
            let pieces = model.vocabulary.tokens.enumerated().map { id, token -> JSON in
                [text(token ?? []), .number(model.scores[id])]
            }
            return object(
                "Unigram", ("unk_id", model.unknown.map { .integer(Int($0)) } ?? .null), ("vocab", .array(pieces)),
                ("byte_fallback", .bool(model.fallsBackToBytes)))
        default: throw unsupported("the model of a SentencePiece file")
        }
    }

    private static func bytePair(_ model: BytePairModel) throws(TokenizerError) -> JSON {
        guard model.vocabulary.tokens.allSatisfy({ $0?.isValidUTF8 ?? true }) else {
            throw unsupported("tokens that are not text, as tiktoken has them")
        }
        let merges = model.merges.entries.map { entry -> JSON in
            [text(model.vocabulary.token(Int(entry.left))), text(model.vocabulary.token(Int(entry.right)))]
        }
        let rules = model.rules
        return object(
            "BPE", ("dropout", rules.dropout.map(JSON.number) ?? .null),
            ("unk_token", rules.unknownToken.map(text) ?? .null),
            ("continuing_subword_prefix", rules.continuingPrefix.isEmpty ? .null : text(rules.continuingPrefix)),
            ("end_of_word_suffix", rules.endSuffix.isEmpty ? .null : text(rules.endSuffix)),
            ("fuse_unk", .bool(rules.fusesUnknown)), ("byte_fallback", .bool(rules.fallsBackToBytes)),
            ("ignore_merges", .bool(rules.matchesWholeWords)), ("vocab", vocabulary(model.vocabulary)),
            ("merges", .array(merges)))
    }
}
