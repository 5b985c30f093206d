import MartletJSON

/// A reader of the decoder of a `tokenizer.json`.
enum DecoderReader {
    /// The decoder that `json` describes.
    static func read(_ json: JSON, path: String, depth: Int = 0) throws(TokenizerError) -> any Decoder {
        let reader = try StageReader(json, path: path)
        switch reader.type {
        case "Sequence": return DecoderSequence(parts: try reader.parts("decoders", depth, read))
        case "ByteLevel": return ByteLevelDecoder()
        case "Fuse": return FuseDecoder()
        case "ByteFallback": return ByteFallbackDecoder()
        case "Replace":
            return ReplaceDecoder(pattern: try reader.pattern("pattern"), content: try reader.bytes("content"))
        case "Strip":
            return StripDecoder(
                content: try reader.scalar("content"), start: try reader.count("start"), stop: try reader.count("stop"))
        case "Metaspace":
            let (scheme, splits) = try PreTokenizerReader.metaspace(reader)
            return MetaspaceDecoder(
                replacement: try reader.scalar("replacement"), dropsInFirst: scheme != .never, scheme: scheme,
                splits: splits)
        case "WordPiece":
            return WordPieceDecoder(prefix: try reader.bytes("prefix"), cleansUp: try reader.bool("cleanup"))
        case "BPEDecoder": return SuffixDecoder(suffix: try reader.bytes("suffix"))
        case "CTC":
            return CTCDecoder(
                padding: try reader.bytes("pad_token"), delimiter: try reader.bytes("word_delimiter_token"),
                cleansUp: try reader.bool("cleanup"))
        default: throw reader.unsupported("the decoder \(reader.type ?? "without a type")")
        }
    }
}
