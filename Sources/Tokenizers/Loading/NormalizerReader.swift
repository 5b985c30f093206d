import MartletJSON

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
        default: throw reader.unsupported("the normalizer \(reader.type ?? "without a type")")
        }
    }
}
