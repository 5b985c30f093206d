import MartletJSON

/// A reader of the pre-tokenizer of a `tokenizer.json`.
enum PreTokenizerReader {
    /// The pre-tokenizer that `json` describes.
    static func read(_ json: JSON, path: String, depth: Int = 0) throws(TokenizerError) -> any PreTokenizer {
        let reader = try StageReader(json, path: path)
        switch reader.type {
        case "Sequence": return PreTokenizerSequence(parts: try reader.parts("pretokenizers", depth, read))
        case "ByteLevel":
            return ByteLevelPreTokenizer(
                addsPrefixSpace: try reader.bool("add_prefix_space"),
                splitsByPattern: try reader.bool("use_regex", default: true),
                trimsOffsets: try reader.bool("trim_offsets"))
        case "Split":
            return SplitPreTokenizer(
                pattern: try reader.pattern("pattern"), behavior: try behavior(reader),
                inverted: try reader.bool("invert"))
        case "WhitespaceSplit": return ScalarSplit(.whitespaceSplit)
        case "Whitespace": return WhitespacePreTokenizer()
        case "BertPreTokenizer": return BertPreTokenizer()
        case "Digits": return ScalarSplit(.digits(individual: try reader.bool("individual_digits")))
        case "Punctuation":
            return ScalarSplit(.punctuation(reader.object["behavior"] == nil ? .isolated : try behavior(reader)))
        case "CharDelimiterSplit": return ScalarSplit(.delimiter(try reader.scalar("delimiter")))
        case "UnicodeScripts": return UnicodeScriptsPreTokenizer()
        case "FixedLength":
            let length = reader.object["length"] == nil ? 5 : try reader.count("length")
            guard length > 0 else { throw reader.malformed("has the length 0") }
            return FixedLengthPreTokenizer(length: length)
        case "Metaspace":
            let (scheme, splits) = try metaspace(reader)
            return MetaspacePreTokenizer(replacement: try reader.scalar("replacement"), scheme: scheme, splits: splits)
        default: throw reader.unsupported("the pre-tokenizer \(reader.type ?? "without a type")")
        }
    }

    static func behavior(_ reader: StageReader) throws(TokenizerError) -> MatchBehavior {
        let name = try reader.string("behavior")
        guard let behavior = MatchBehavior(rawValue: name) else { throw reader.unsupported("the behavior \(name)") }
        return behavior
    }

    /// The settings of Metaspace, `prepend_scheme` and `split`, with the older `add_prefix_space` that they replace.
    static func metaspace(_ reader: StageReader) throws(TokenizerError) -> (MetaspaceScheme, splits: Bool) {
        let name = try reader.optionalString("prepend_scheme") ?? "always"
        guard var scheme = MetaspaceScheme(rawValue: name) else {
            throw reader.unsupported("the prepend_scheme \(name)")
        }
        if try reader.optionalBool("add_prefix_space") == false {
            guard scheme == .never || reader.object["prepend_scheme"] == nil else {
                throw reader.malformed("has add_prefix_space false beside prepend_scheme \(name)")
            }
            scheme = .never
        }
        return (scheme, try reader.bool("split", default: true))
    }
}
