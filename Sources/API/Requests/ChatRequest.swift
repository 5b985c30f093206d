import MartletJSON

/// A conversation to go on with, from the body of `/v1/chat/completions` (OpenAI's fields, and the peers' common
/// extras).
struct ChatRequest: Sendable {
    var messages: [JSON]
    var tools: [ToolDefinition]
    var toolChoice: ToolChoice
    /// True where one answer may hold several calls.
    var callsInParallel: Bool
    var format: AnswerFormat
    var generation: GenerationFields
    /// The variables that the template may read besides: `enable_thinking`, `reasoning_effort`.
    var templateVariables: JSONObject
    /// True where special tokens spelled in messages count as such; false keeps them plain text.
    var parsesSpecialTokens: Bool

    init(_ fields: Fields, _ model: ServedModel) throws(APIError) {
        guard let given = try fields.array("messages", atMost: 10_000) else { throw fields.missing("messages") }
        guard !given.isEmpty else { throw .invalid("messages is empty; give at least one.", "messages") }
        messages = try given.enumerated().map { index, message throws(APIError) in
            try ChatMessage.normalised(message, at: "messages[\(index)]")
        }
        tools = try ToolDefinition.list(fields)
        toolChoice = try ToolChoice(fields, tools)
        callsInParallel = try fields.bool("parallel_tool_calls") ?? true
        format = try AnswerFormat(fields)
        generation = try GenerationFields(fields, defaults: model.sampling, vocabulary: model.vocabularySize)
        if try fields.bool("logprobs") ?? false {
            generation.alternatives = try fields.integer("top_logprobs", 0...20) ?? 0
        } else if try fields.integer("top_logprobs", 0...20) != nil {
            throw .invalid("top_logprobs is given, but logprobs is not true.", "top_logprobs")
        }
        try ChatRequest.refuse(fields)
        templateVariables = try fields.object("chat_template_kwargs")?.object ?? JSONObject()
        if let effort = try fields.string("reasoning_effort") {
            templateVariables["reasoning_effort"] = .string(effort)
        }
        parsesSpecialTokens = try fields.bool("parse_special") ?? false
    }

    /// Values that are known to OpenAI and not served here.
    private static func refuse(_ fields: Fields) throws(APIError) {
        let modalities = try fields.strings("modalities", atMost: 8) ?? []
        if modalities.contains(where: { $0 != "text" }) {
            throw .unsupported("This server answers with text only.", "modalities")
        }
        for name in ["audio", "web_search_options"] where fields[name] != nil {
            throw .unsupported("\(name) is not served here; leave it out.", name)
        }
        for name in ["functions", "function_call"] where fields[name] != nil {
            throw .unsupported("\(name) is no longer read; say the same by tools and tool_choice.", name)
        }
    }
}

/// Messages as templates read them: `role`, a text as `content`, tool calls with parsed arguments.
enum ChatMessage {
    private static let roles = ["system", "developer", "user", "assistant", "tool"]

    static func normalised(_ message: JSON, at path: String) throws(APIError) -> JSON {
        guard let object = message.objectValue else {
            throw .invalid("\(path) is \(message.kind), but an object is expected.", path, code: "invalid_type")
        }
        let fields = Fields(object, prefix: path + ".")
        var role = try fields.requiredString("role")
        guard roles.contains(role) else {
            throw .invalid(
                "\(path).role is \(role.quoted), but one of \(roles.joined(separator: ", ")) is expected.",
                path + ".role", code: "invalid_value")
        }
        if role == "developer" { role = "system" }
        var result: JSONObject = JSONObject()
        result["role"] = .string(role)
        result["content"] = .string(try content(fields, mayBeAbsent: role == "assistant"))
        for name in ["name", "tool_call_id", "reasoning_content"] {
            if let text = try fields.string(name) { result[name] = .string(text) }
        }
        if let calls = try fields.array("tool_calls", atMost: 128), !calls.isEmpty {
            result["tool_calls"] = .array(
                try calls.enumerated().map { index, call throws(APIError) in
                    try toolCall(call, at: "\(path).tool_calls[\(index)]")
                })
        }
        return .object(result)
    }

    /// A message's text: a string, or parts of type text, joined by line ends.
    private static func content(_ fields: Fields, mayBeAbsent: Bool) throws(APIError) -> String {
        guard let value = fields["content"] else {
            guard mayBeAbsent else { throw fields.missing("content") }
            return ""
        }
        if let text = value.stringValue { return text }
        guard value.arrayValue != nil else { throw fields.wrong("content", value, "a string or an array of parts") }
        let parts = try fields.array("content", atMost: 1024) ?? []
        return try parts.enumerated().map { index, part throws(APIError) in
            let path = fields.path("content[\(index)]")
            guard let object = part.objectValue else {
                throw .invalid("\(path) is \(part.kind), but an object is expected.", path, code: "invalid_type")
            }
            let part = Fields(object, prefix: path + ".")
            let type = try part.requiredString("type")
            guard ["text", "input_text", "output_text", "refusal"].contains(type) else {
                throw .unsupported("\(path) is of type \(type.quoted); this server reads text only.", path + ".type")
            }
            return try part.requiredString(type == "refusal" ? "refusal" : "text")
        }.joined(separator: "\n")
    }

    /// Templates read arguments as values, clients send them as JSON text.
    private static func toolCall(_ call: JSON, at path: String) throws(APIError) -> JSON {
        guard let object = call.objectValue else {
            throw .invalid("\(path) is \(call.kind), but an object is expected.", path, code: "invalid_type")
        }
        guard let function = try Fields(object, prefix: path + ".").object("function") else {
            throw .invalid("\(path).function is missing.", path + ".function", code: "missing_required_parameter")
        }
        let name = try function.requiredString("name")
        let given = function["arguments"] ?? .object(JSONObject())
        let arguments = given.stringValue.map { text in (try? JSON(parsing: text)) ?? given } ?? given
        var result = JSONObject()
        for key in ["id"] { result[key] = object[key] }
        result["type"] = "function"
        result["function"] = ["name": .string(name), "arguments": arguments]
        return .object(result)
    }
}

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

/// A function that the model may call.
struct ToolDefinition: Sendable {
    let name: String
    /// The JSON schema of its arguments.
    let parameters: JSON
    /// The whole definition, as templates read it.
    let definition: JSON

    static func list(_ fields: Fields) throws(APIError) -> [ToolDefinition] {
        var names: Set<ExactKey> = []
        return try (fields.array("tools", atMost: 128) ?? []).enumerated().map { index, tool throws(APIError) in
            let path = "tools[\(index)]"
            guard let object = tool.objectValue else {
                throw .invalid("\(path) is \(tool.kind), but an object is expected.", path, code: "invalid_type")
            }
            let tool = Fields(object, prefix: path + ".")
            guard try tool.string("type") ?? "function" == "function" else {
                throw .unsupported("\(path).type: only functions can be called here.", path + ".type")
            }
            guard let function = try tool.object("function") else { throw tool.missing("function") }
            let name = try function.requiredString("name")
            guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy(isWord) else {
                throw .invalid(
                    "\(function.path("name")) is \(name.quoted), but 1 to 64 letters, digits, _ and - are expected.",
                    function.path("name"), code: "invalid_value")
            }
            guard names.insert(ExactKey(name)).inserted else {
                throw .invalid(
                    "\(function.path("name")) is \(name.quoted), as an earlier function's is; give each its own.",
                    function.path("name"), code: "invalid_value")
            }
            return ToolDefinition(name: name, parameters: try parameters(function), definition: .object(object))
        }
    }

    /// The schema of a function's arguments, which are an object; of none where there is no schema.
    private static func parameters(_ function: Fields) throws(APIError) -> JSON {
        guard let given = try function.object("parameters"), !given.object.isEmpty else {
            return ["type": "object", "properties": [:], "additionalProperties": false]
        }
        var schema = given.object
        let types = schema["type"].map { $0.arrayValue ?? [$0] } ?? ["object"]
        guard types.contains("object") else {
            throw .invalid(
                "\(given.path("type")) is \(schema["type"]?.text() ?? ""), but arguments are an object: \"object\".",
                given.path("type"), code: "invalid_value")
        }
        schema["type"] = "object"
        // Without properties there are no arguments, unless the schema says what others are.
        if schema["properties"]?.objectValue?.isEmpty == true, schema["additionalProperties"] == nil,
            schema["patternProperties"] == nil
        {
            schema["additionalProperties"] = false
        }
        return .object(schema)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}

/// The choice of tools, whether the model must call a function.
enum ToolChoice: Sendable, Equatable {
    case none
    case automatic
    case required
    case named(String)

    init(_ fields: Fields, _ tools: [ToolDefinition]) throws(APIError) {
        guard let value = fields["tool_choice"] else {
            self = tools.isEmpty ? .none : .automatic
            return
        }
        if let word = value.stringValue {
            switch word {
            case "none": self = .none
            case "auto": self = tools.isEmpty ? .none : .automatic
            case "required", "any": self = .required
            default:
                throw .invalid(
                    "tool_choice is \(word.quoted), but none, auto, required or a function is expected.", "tool_choice",
                    code: "invalid_value")
            }
        } else {
            guard value.objectValue != nil, let choice = try fields.object("tool_choice") else {
                throw fields.wrong("tool_choice", value, "none, auto, required or a function")
            }
            if let type = try choice.string("type"), type != "function" {
                throw .unsupported(
                    "tool_choice.type is \(type.quoted), which is not served here; send the tools that are allowed, "
                        + "and a function, auto or required.", "tool_choice.type")
            }
            let function = try choice.object("function")
            let name = try (function ?? choice).requiredString("name")
            guard tools.contains(where: { $0.name.hasSameBytes(as: name) }) else {
                throw .invalid("tool_choice names \(name.quoted), which is none of the tools.", "tool_choice")
            }
            self = .named(name)
        }
        if self == .required && tools.isEmpty {
            throw .invalid("tool_choice is required, but there are no tools.", "tool_choice")
        }
    }
}
