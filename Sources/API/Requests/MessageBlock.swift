import MartletJSON

/// A content block of a request in Anthropic's shape: an object that has a type.
struct MessageBlock {
    let type: String
    let fields: Fields

    /// The blocks of a field; a text is one block, nothing is none.
    static func list(_ fields: Fields, _ name: String) throws(APIError) -> [MessageBlock] {
        guard let value = fields[name] else { return [] }
        if value.stringValue != nil {
            var text = JSONObject()
            text["text"] = value
            return [MessageBlock(type: "text", fields: Fields(text, prefix: fields.path(name) + "."))]
        }
        guard value.arrayValue != nil else { throw fields.wrong(name, value, "a string or an array of blocks") }
        return try (fields.array(name, atMost: 1_024) ?? []).enumerated().map { index, block throws(APIError) in
            let block = try Fields(block, at: fields.path("\(name)[\(index)]"))
            return MessageBlock(type: try block.requiredString("type"), fields: block)
        }
    }

    /// The texts of blocks of which none is anything else.
    static func texts(_ fields: Fields, _ name: String) throws(APIError) -> [String] {
        try list(fields, name).map { block throws(APIError) in try block.text() }
    }

    /// The text of a block that is one: a text, a document, a result of a search.
    ///
    /// - Parameter isNoted: whether a note stands for a block of another type.
    /// - Throws: ``APIError`` for a block of another type.
    func text(orNote isNoted: Bool = false) throws(APIError) -> String {
        switch type {
        case "text": return try fields.requiredString("text")
        case "search_result":
            let title = try fields.string("title").map { [$0] } ?? []
            return (title + (try MessageBlock.texts(fields, "content"))).joined(separator: "\n")
        case "document":
            guard let source = try fields.object("source") else { throw fields.missing("source") }
            let title = try fields.string("title").map { [$0] } ?? []
            switch try source.requiredString("type") {
            case "text": return (title + [try source.requiredString("data")]).joined(separator: "\n")
            case "content": return (title + (try MessageBlock.texts(source, "content"))).joined(separator: "\n")
            case let type: return try notRead(type, source, isNoted)
            }
        default: return try notRead(type, fields, isNoted)
        }
    }

    private func notRead(_ type: String, _ fields: Fields, _ isNoted: Bool) throws(APIError) -> String {
        if isNoted { return "[\(self.type): not read by this server]" }
        throw .unsupported(
            "\(fields.path("type")) is \(type.quoted), which is not read here: this server reads text and tools only.",
            fields.path("type"))
    }
}
