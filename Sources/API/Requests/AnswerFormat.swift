import MartletJSON

/// The form that an answer must have.
enum AnswerFormat: Sendable {
    case text
    case jsonObject
    case jsonSchema(JSON, parameter: String)
    /// llama.cpp's GBNF.
    case grammar(String)

    init(_ fields: Fields) throws(APIError) {
        if let grammar = try fields.string("grammar") {
            self = .grammar(grammar)
            return
        }
        if let schema = try fields.object("json_schema") {
            self = .jsonSchema(.object(schema.object), parameter: "json_schema")
            return
        }
        guard let format = try fields.object("response_format") else {
            self = .text
            return
        }
        switch try format.requiredString("type") {
        case "text": self = .text
        case "json_object": self = .jsonObject
        case "json_schema":
            guard let named = try format.object("json_schema") else { throw format.missing("json_schema") }
            guard let schema = named["schema"] else { throw named.missing("schema") }
            self = .jsonSchema(schema, parameter: named.path("schema"))
        case let other:
            throw .invalid(
                "response_format.type is \(other.quoted), but one of text, json_object, json_schema is expected.",
                "response_format.type", code: "invalid_value")
        }
    }
}
