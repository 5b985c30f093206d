import MartletJSON

/// A request in Ollama's words in those of OpenAI's chat completions. What is known and not served is refused by name.
struct OllamaRequest: Sendable {
    /// OpenAI's fields.
    let fields: Fields
    /// The client's names for OpenAI's fields.
    let names: FieldNames

    /// Options by Ollama's name, and the fields that say the same.
    private static let options: [(given: String, own: String)] = [
        ("num_predict", "max_tokens"), ("temperature", "temperature"), ("top_k", "top_k"), ("top_p", "top_p"),
        ("min_p", "min_p"), ("typical_p", "typical_p"), ("seed", "seed"), ("stop", "stop"),
        ("repeat_penalty", "repeat_penalty"), ("presence_penalty", "presence_penalty"),
        ("frequency_penalty", "frequency_penalty"),
    ]

    /// - Parameter messages: the conversation; nil for a text that is continued as it is.
    /// - Throws: ``APIError`` for a value that cannot be meant, or is not served.
    init(_ given: Fields, messages: [JSON]?) throws(APIError) {
        var object = JSONObject()
        object["messages"] = messages.map { .array($0) }
        if messages != nil { object["tools"] = given["tools"] }
        for name in ["logprobs", "top_logprobs"] { object[name] = given[name] }
        object["response_format"] = try OllamaRequest.format(given)
        try OllamaRequest.think(given, hasTemplate: messages != nil, &object)
        if let options = try given.object("options", isNoted: true) {
            for (name, own) in OllamaRequest.options {
                // Negative counts are as many as fit.
                if name == "num_predict", let count = options[name]?.integerValue, count < 0 { continue }
                object[own] = options[name]
            }
        }
        fields = Fields(object)
        let isGenerated = given["messages"] == nil
        names = FieldNames(
            OllamaRequest.options.map { (own: $0.own, given: "options." + $0.given) } + [
                ("response_format.json_schema.schema", "format"), ("response_format", "format"),
                ("chat_template_kwargs", "think"), ("reasoning_effort", "think"),
            ] + (isGenerated ? [("messages", "prompt")] : []))
    }

    /// The messages of a chat, empty ones with a text of none; their thinking, and the tool that has answered, under
    /// OpenAI's clients' names.
    static func messages(_ fields: Fields) throws(APIError) -> [JSON] {
        try (fields.array("messages", atMost: 10_000) ?? []).enumerated().map { index, message throws(APIError) in
            guard var object = message.objectValue else { return message }
            try refuse(["images"], of: Fields(object, prefix: "messages[\(index)]."))
            if object["content"] == nil { object["content"] = "" }
            if let thinking = object["thinking"] { object["reasoning_content"] = thinking }
            object["name"] = object["name"] ?? object["tool_name"]
            return .object(object)
        }
    }

    /// Refuses fields that say something; clients send them empty.
    static func refuse(_ names: [String], of fields: Fields) throws(APIError) {
        for name in names {
            guard let value = fields[name], value.stringValue?.isEmpty != true, value.arrayValue?.isEmpty != true else {
                continue
            }
            throw .unsupported("\(fields.path(name)) is not served here; leave it out.", fields.path(name))
        }
    }

    private static func format(_ given: Fields) throws(APIError) -> JSON? {
        guard let format = given["format"], format != "" else { return nil }
        if format == "json" { return ["type": "json_object"] }
        guard format.objectValue != nil else {
            throw .invalid(
                "\(given.path("format")) is \(format.text().shortened), but \"json\" or a JSON schema is expected.",
                given.path("format"), code: "invalid_value")
        }
        return ["type": "json_schema", "json_schema": ["name": "answer", "schema": format]]
    }

    /// `think`: true, false, or how much.
    private static func think(_ given: Fields, hasTemplate: Bool, _ object: inout JSONObject) throws(APIError) {
        guard let value = given["think"] else { return }
        let effort = value.stringValue.flatMap { ["low", "medium", "high"].contains($0) ? $0 : nil }
        guard let thinks = value.boolValue ?? effort.map({ _ in true }) else {
            throw .invalid(
                "\(given.path("think")) is \(value.text().shortened), but true, false, \"low\", \"medium\" or "
                    + "\"high\" is expected.", given.path("think"), code: "invalid_value")
        }
        guard hasTemplate || !thinks else {
            throw .unsupported("Without a chat template nothing asks the model to think; leave think out.", "think")
        }
        object["chat_template_kwargs"] = ["enable_thinking": .bool(thinks)]
        object["reasoning_effort"] = effort.map { .string($0) }
    }
}
