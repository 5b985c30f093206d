import MartletJSON

/// A reader of the post-processor of a `tokenizer.json`.
enum PostProcessorReader {
    /// The post-processor that `json` describes.
    static func read(_ json: JSON, path: String, depth: Int = 0) throws(TokenizerError) -> any PostProcessor {
        let reader = try StageReader(json, path: path)
        switch reader.type {
        case "Sequence": return PostProcessorSequence(parts: try reader.parts("processors", depth, read))
        case "ByteLevel":
            return ByteLevelProcessor(
                trimsOffsets: try reader.bool("trim_offsets"), addsPrefixSpace: try reader.bool("add_prefix_space"),
                splitsByPattern: try reader.bool("use_regex", default: true))
        case "TemplateProcessing": return try template(reader)
        case "BertProcessing":
            return BertProcessor(
                separator: try token(reader, "sep"), classifier: try token(reader, "cls"), roberta: nil)
        case "RobertaProcessing":
            return BertProcessor(
                separator: try token(reader, "sep"), classifier: try token(reader, "cls"),
                roberta: BertProcessor.Roberta(
                    trimsOffsets: try reader.bool("trim_offsets"),
                    addsPrefixSpace: try reader.bool("add_prefix_space")))
        default: throw reader.unsupported("the post-processor \(reader.type ?? "without a type")")
        }
    }

    /// A token and its id, `["</s>", 2]`.
    private static func token(_ reader: StageReader, _ key: String) throws(TokenizerError) -> (
        content: String, id: Int32
    ) {
        let pair = try reader.array(key)
        guard pair.count == 2, let content = pair[0].stringValue, let id = pair[1].integerValue,
            (0..<Vocabulary.maximumCount).contains(id)
        else { throw reader.malformed("has \(key) that is not a token and its id") }
        return (content, Int32(id))
    }

    private static func template(_ reader: StageReader) throws(TokenizerError) -> TemplateProcessor {
        let tokens = try StageReader(
            reader.object["special_tokens"] ?? .object(JSONObject()), path: "\(reader.path).special_tokens")
        let single = try items(reader, "single", tokens)
        let pair = try items(reader, "pair", tokens)
        return TemplateProcessor(single: single, pair: pair)
    }

    private static func items(
        _ reader: StageReader, _ key: String, _ tokens: StageReader
    ) throws(TokenizerError) -> [TemplateProcessor.Item] {
        var items: [TemplateProcessor.Item] = []
        for (index, item) in try reader.array(key).enumerated() {
            let path = "\(reader.path).\(key)[\(index)]"
            let wrapper = try StageReader(item, path: path)
            if let sequence = wrapper.object["Sequence"] {
                let inner = try StageReader(sequence, path: path)
                let name = try inner.string("id")
                guard name.utf8.elementsEqual("A".utf8) || name.utf8.elementsEqual("B".utf8) else {
                    throw inner.malformed("names the sequence \(name), not A or B")
                }
                items.append(
                    .sequence(name.utf8.elementsEqual("A".utf8) ? 0 : 1, typeID: Int32(try inner.count("type_id"))))
            } else if let special = wrapper.object["SpecialToken"] {
                let inner = try StageReader(special, path: path)
                let name = try inner.string("id")
                guard let described = tokens.object[name] else {
                    throw inner.malformed("names the token \(name), which special_tokens lacks")
                }
                let token = try StageReader(described, path: "\(tokens.path).\(name)")
                var ids: [Int32] = []
                for id in try token.array("ids") {
                    guard let id = id.integerValue, (0..<Vocabulary.maximumCount).contains(id) else {
                        throw token.malformed("has an id that is no token id")
                    }
                    ids.append(Int32(id))
                }
                items.append(.special(name: name, ids: ids, typeID: Int32(try inner.count("type_id"))))
            } else {
                throw wrapper.malformed("is neither Sequence nor SpecialToken")
            }
        }
        return items
    }
}
