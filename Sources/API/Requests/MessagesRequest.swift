import MartletJSON

/// A request of `/v1/messages`, Anthropic's shape of a conversation, in the words of chat completions.
struct MessagesRequest: Sendable {
    /// The fields of a chat completion.
    private(set) var chat = Fields(JSONObject())
    /// The client's names for fields of the chat completion.
    private(set) var names = FieldNames()

    /// The fields that both shapes have, or that local servers add to either.
    private static let shared = [
        "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stream", "repeat_penalty", "ignore_eos",
        "chat_template_kwargs", "parse_special",
    ]

    /// - Throws: ``APIError`` for a value that cannot be meant, or is not served.
    init(_ fields: Fields) throws(APIError) {
        var object = JSONObject()
        for name in MessagesRequest.shared { object[name] = fields[name] }
        object["stop"] = fields["stop_sequences"]
        names.add("stop", given: "stop_sequences")
        try MessagesRequest.refuse(fields)
        try addThinking(fields, to: &object)
        try addFormat(fields, to: &object)
        try addTools(fields, to: &object)
        var conversation = MessagesConversation()
        try conversation.add(system: fields)
        try conversation.add(messages: fields)
        object["messages"] = .array(conversation.messages)
        object["continue_final_message"] = conversation.isContinued ? true : nil
        for (own, given) in conversation.names { names.add(own, given: given) }
        chat = Fields(object)
    }

    private static func refuse(_ fields: Fields) throws(APIError) {
        for name in ["container", "mcp_servers"] where fields[name].map({ $0 != [] }) ?? false {
            throw .unsupported("\(name) is not served here; leave it out.", name)
        }
    }

    /// `thinking` and `output_config.effort`, as templates know them; who asks for neither reads the answer first.
    private mutating func addThinking(_ fields: Fields, to object: inout JSONObject) throws(APIError) {
        let effort = try fields.object("output_config")?.choice("effort", Effort.self)
        switch effort {
        case nil: break
        case .low: object["reasoning_effort"] = "low"
        case .medium: object["reasoning_effort"] = "medium"
        case .high, .xhigh, .max: object["reasoning_effort"] = "high"
        }
        let thinking = try fields.object("thinking")?.choice("type", Thinking.self)
        let isWanted = thinking.map { $0 != .disabled } ?? (effort != nil)
        var variables = try fields.object("chat_template_kwargs")?.object ?? JSONObject()
        variables["enable_thinking"] = variables["enable_thinking"] ?? .bool(isWanted)
        object["chat_template_kwargs"] = .object(variables)
    }

    private enum Thinking: String, CaseIterable { case enabled, disabled, adaptive, betweenTools = "between_tools" }
    private enum Effort: String, CaseIterable { case low, medium, high, xhigh, max }

    /// The form of the answer: `output_config.format`, or `output_format` as it was called before.
    private mutating func addFormat(_ fields: Fields, to object: inout JSONObject) throws(APIError) {
        let current = try fields.object("output_config")?.object("format")
        let former = try fields.object("output_format")
        guard let format = current ?? former else { return }
        let type = try format.requiredString("type")
        guard type == "json_schema" else {
            throw .unsupported(
                "\(format.path("type")) is \(type.quoted), but \"json_schema\" is expected.", format.path("type"))
        }
        guard let schema = format["schema"] else { throw format.missing("schema") }
        object["response_format"] = ["type": "json_schema", "json_schema": ["name": "answer", "schema": schema]]
        names.add("response_format.json_schema.schema", given: format.path("schema"))
    }

    // MARK: Tools

    private mutating func addTools(_ fields: Fields, to object: inout JSONObject) throws(APIError) {
        if let given = try fields.array("tools", atMost: ToolDefinition.most) {
            object["tools"] = .array(
                try given.enumerated().map { index, tool throws(APIError) in try function(tool, at: "tools[\(index)]") }
            )
        }
        guard let choice = try fields.object("tool_choice") else { return }
        guard let use = try choice.choice("type", ToolUse.self) else { throw choice.missing("type") }
        switch use {
        case .auto: object["tool_choice"] = "auto"
        case .any: object["tool_choice"] = "required"
        case .none: object["tool_choice"] = "none"
        case .tool:
            let name = try choice.requiredString("name")
            object["tool_choice"] = ["type": "function", "function": ["name": .string(name)]]
        }
        if try choice.bool("disable_parallel_tool_use") ?? false { object["parallel_tool_calls"] = false }
    }

    private enum ToolUse: String, CaseIterable { case auto, any, tool, none }

    /// A tool as a function; tools that run on Anthropic's machines, or that its models know by name, have no schema.
    private mutating func function(_ tool: JSON, at path: String) throws(APIError) -> JSON {
        let tool = try Fields(tool, at: path)
        if let type = try tool.string("type"), type != "custom" {
            throw .unsupported(
                "\(path).type is \(type.quoted), which is not served here; give a tool with an input_schema.",
                path + ".type")
        }
        guard let schema = try tool.object("input_schema") else { throw tool.missing("input_schema") }
        var function = JSONObject()
        function["name"] = tool["name"]
        function["description"] = tool["description"]
        function["parameters"] = .object(schema.object)
        function["strict"] = tool["strict"]
        names.add("\(path).function.parameters", given: "\(path).input_schema")
        names.add("\(path).function", given: path)
        return ["type": "function", "function": .object(function)]
    }
}
