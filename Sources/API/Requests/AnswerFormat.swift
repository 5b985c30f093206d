import MartletJSON

/// The form that an answer must have, in the words of OpenAI, llama.cpp and vLLM.
enum AnswerFormat: Sendable {
    case text
    case jsonObject
    case jsonSchema(JSON, parameter: String)
    case regularExpression(String, parameter: String)
    /// One of some texts.
    case choice([String], parameter: String)
    /// llama.cpp's GBNF.
    case grammar(String, parameter: String)

    /// - Throws: ``APIError`` for a form that is not known: none is passed over.
    init(_ fields: Fields) throws(APIError) {
        if let form = try AnswerFormat.ofLocalServers(fields) {
            self = form
            return
        }
        guard let format = try fields.object("response_format") else {
            self = .text
            return
        }
        switch try format.requiredString("type") {
        case "text": self = .text
        case "json_object":
            self = format["schema"].map { .jsonSchema($0, parameter: format.path("schema")) } ?? .jsonObject
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

    /// The form by llama.cpp's `grammar` and `json_schema`, or vLLM's `structured_outputs` and the older `guided_…`.
    private static func ofLocalServers(_ fields: Fields) throws(APIError) -> AnswerFormat? {
        if let grammar = try fields.string("grammar"), !grammar.isEmpty {
            return .grammar(grammar, parameter: fields.path("grammar"))
        }
        if let schema = try fields.object("json_schema") {
            return .jsonSchema(.object(schema.object), parameter: fields.path("json_schema"))
        }
        if let outputs = try fields.object("structured_outputs"), let form = try ofVLLM(outputs, prefix: "") {
            return form
        }
        return try ofVLLM(fields, prefix: "guided_")
    }

    private static func ofVLLM(_ fields: Fields, prefix: String) throws(APIError) -> AnswerFormat? {
        func path(_ name: String) -> String { fields.path(prefix + name) }
        if let schema = fields[prefix + "json"] {
            // A schema as a value, or as the text of one.
            let value = schema.stringValue.map { text in (try? JSON(parsing: text)) ?? schema } ?? schema
            return .jsonSchema(value, parameter: path("json"))
        }
        if let pattern = try fields.string(prefix + "regex") {
            return .regularExpression(pattern, parameter: path("regex"))
        }
        if let texts = try fields.strings(prefix + "choice", atMost: 1_024) {
            guard !texts.isEmpty else { throw .invalid("\(path("choice")) is empty.", path("choice")) }
            return .choice(texts, parameter: path("choice"))
        }
        if let grammar = try fields.string(prefix + "grammar") {
            return .grammar(grammar, parameter: path("grammar"))
        }
        if try fields.bool(prefix + "json_object") ?? false { return .jsonObject }
        if fields[prefix + "structural_tag"] != nil {
            throw .unsupported("\(path("structural_tag")) is not served here; leave it out.", path("structural_tag"))
        }
        return nil
    }
}
