import MartletJSON

/// A reader of the normalizer of a `tokenizer.json`.
enum NormalizerReader {
    /// The normalizer that `json` describes.
    static func read(_ json: JSON, path: String, depth: Int = 0) throws(TokenizerError) -> any Normalizer {
        let reader = try StageReader(json, path: path)
        switch reader.type {
        case "Sequence":
            return NormalizerSequence(parts: try reader.parts("normalizers", depth, read))
        case "Prepend": return PrependNormalizer(content: try reader.bytes("prepend"))
        case "Replace":
            return ReplaceNormalizer(pattern: try reader.pattern("pattern"), content: try reader.bytes("content"))
        case "NFC": return UnicodeForm.nfc
        case "NFD": return UnicodeForm.nfd
        case "NFKC": return UnicodeForm.nfkc
        case "NFKD": return UnicodeForm.nfkd
        case "Lowercase": return LowercaseNormalizer()
        case "StripAccents": return StripAccentsNormalizer()
        case "Nmt": return NMTNormalizer()
        case "ByteLevel": return ByteLevelNormalizer()
        case "Strip":
            return StripNormalizer(left: try reader.bool("strip_left"), right: try reader.bool("strip_right"))
        case "BertNormalizer":
            return BertNormalizer(
                cleansText: try reader.bool("clean_text"), spacesIdeographs: try reader.bool("handle_chinese_chars"),
                stripsAccents: try reader.optionalBool("strip_accents"), lowercases: try reader.bool("lowercase"))
        case "Precompiled":
            guard let blob = Base64.decode(try reader.bytes("precompiled_charsmap")) else {
                throw reader.malformed("has a precompiled_charsmap that is not base 64")
            }
            return PrecompiledNormalizer(try Charsmap(blob, source: "tokenizer.json"))
        default: throw reader.unsupported("the normalizer \(reader.type ?? "without a type")")
        }
    }
}
