import MartletJSON

/// A request of `/v1/responses` in the words of chat completions, and what of it the answer repeats.
struct ResponsesRequest: Sendable {
    /// The fields of a chat completion.
    private(set) var chat: Fields
    /// The fields of the response that say again what was asked for.
    let echo: JSONObject
    /// The client's names for fields of the chat completion.
    private(set) var names = FieldNames()

    /// - Throws: ``APIError`` for a value that cannot be meant, or is not served.
    init(_ fields: Fields) throws(APIError) {
        try ResponsesRequest.refuse(fields)
        echo = try ResponsesRequest.echo(fields)
        var object = JSONObject()
        for name in ["temperature", "top_p", "stream", "seed", "parallel_tool_calls", "tool_choice"] {
            object[name] = fields[name]
        }
        object["max_tokens"] = fields["max_output_tokens"]
        object["reasoning_effort"] = try fields.object("reasoning")?["effort"]
        let alternatives = fields["top_logprobs"]
        if try ResponsesRequest.includes(fields).contains("message.output_text.logprobs") || alternatives != nil {
            object["logprobs"] = true
            object["top_logprobs"] = alternatives
        }
        object["response_format"] = try ResponsesRequest.format(fields)
        chat = Fields(object)
        try addMessages(fields, to: &object)
        try addTools(fields, to: &object)
        chat = Fields(object)
        for (own, given) in ResponsesRequest.names { names.add(own, given: given) }
    }

    private static let names = [
        ("max_tokens", "max_output_tokens"), ("response_format.json_schema", "text.format"),
        ("response_format", "text.format"), ("reasoning_effort", "reasoning.effort"), ("messages", "input"),
    ]

    // MARK: Values

    private static func refuse(_ fields: Fields) throws(APIError) {
        for name in ["previous_response_id", "conversation"] where fields[name] != nil {
            throw .unsupported("Nothing is stored here: send the whole conversation as input.", name)
        }
        if fields["prompt"] != nil { throw .unsupported("prompt is not served here; leave it out.", "prompt") }
        if try fields.bool("background") ?? false {
            throw .unsupported("background is not served here.", "background")
        }
        _ = try fields.bool("store")
        // A conversation that fits is cut by neither; one that does not is refused.
        if let truncation = try fields.string("truncation"), !["auto", "disabled"].contains(truncation) {
            throw .invalid(
                "truncation is \(truncation.quoted), but \"auto\" or \"disabled\" is expected.", "truncation",
                code: "invalid_value")
        }
    }

    /// The additions that an answer may hold; those of tools that are not served here are in none.
    private static let knownIncludes: Set<String> = [
        "message.output_text.logprobs", "reasoning.encrypted_content", "file_search_call.results",
        "web_search_call.results", "web_search_call.action.sources", "message.input_image.image_url",
        "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    ]

    private static func includes(_ fields: Fields) throws(APIError) -> [String] {
        guard fields["include"] != nil else { return [] }
        let names = try fields.strings("include", atMost: 16) ?? []
        for (index, name) in names.enumerated() where !knownIncludes.contains(name) {
            throw .invalid(
                "include[\(index)] is \(name.quoted), which is none of "
                    + knownIncludes.sorted().joined(separator: ", ") + ".",
                "include[\(index)]", code: "invalid_value")
        }
        return names
    }

    private static func format(_ fields: Fields) throws(APIError) -> JSON? {
        guard let format = try fields.object("text")?.object("format") else { return nil }
        guard try format.requiredString("type") == "json_schema" else { return .object(format.object) }
        return ["type": "json_schema", "json_schema": .object(format.object)]
    }

    private static func echo(_ fields: Fields) throws(APIError) -> JSONObject {
        let metadata = try fields.object("metadata")
        for key in metadata?.object.keys ?? [] { _ = try metadata?.string(key) }
        var echo = JSONObject()
        echo["instructions"] = try fields.string("instructions").map { .string($0) } ?? .null
        echo["metadata"] = .object(metadata?.object ?? JSONObject())
        echo["parallel_tool_calls"] = .bool(try fields.bool("parallel_tool_calls") ?? true)
        echo["tool_choice"] = fields["tool_choice"] ?? "auto"
        echo["tools"] = fields["tools"] ?? []
        var text = try fields.object("text")?.object ?? JSONObject()
        if text["format"]?.isNull ?? true { text["format"] = ["type": "text"] }
        echo["text"] = .object(text)
        echo["reasoning"] = fields["reasoning"] ?? ["effort": .null, "summary": .null]
        echo["truncation"] = fields["truncation"] ?? "disabled"
        echo["max_output_tokens"] = fields["max_output_tokens"] ?? .null
        echo["top_logprobs"] = fields["top_logprobs"] ?? 0
        echo["user"] = fields["user"] ?? .null
        echo["previous_response_id"] = .null
        echo["background"] = false
        echo["store"] = false
        return echo
    }

    // MARK: Tools and messages

    private mutating func addTools(_ fields: Fields, to object: inout JSONObject) throws(APIError) {
        guard let given = try fields.array("tools", atMost: ToolDefinition.most) else { return }
        object["tools"] = .array(
            try given.enumerated().map { index, tool throws(APIError) in
                let path = "tools[\(index)]"
                var function = try Fields(tool, at: path).object
                guard tool["type"]?.stringValue == "function" else {
                    throw .unsupported("\(path).type: only functions can be called here.", path + ".type")
                }
                names.add("\(path).function", given: path)
                function["type"] = nil
                return ["type": "function", "function": .object(function)]
            })
    }

    /// `input`: a text, or items: messages, calls and their outputs.
    private mutating func addMessages(_ fields: Fields, to object: inout JSONObject) throws(APIError) {
        var messages: [JSON] = []
        if let instructions = try fields.string("instructions") {
            messages.append(["role": "system", "content": .string(instructions)])
            names.add("messages[0]", given: "instructions")
        }
        guard let value = fields["input"] else { throw fields.missing("input") }
        if let text = value.stringValue {
            messages.append(["role": "user", "content": .string(text)])
        } else {
            guard value.arrayValue != nil else { throw fields.wrong("input", value, "a string or an array") }
            for (index, item) in (try fields.array("input", atMost: 10_000) ?? []).enumerated() {
                try add(item, at: "input[\(index)]", to: &messages)
            }
            if messages.isEmpty { throw .invalid("input is empty; give at least one item.", "input") }
        }
        object["messages"] = .array(messages)
    }

    private mutating func add(_ item: JSON, at path: String, to messages: inout [JSON]) throws(APIError) {
        switch item["type"]?.stringValue ?? "message" {
        case "message":
            names.add("messages[\(messages.count)]", given: path)
            messages.append(item)
        case "function_call": addCall(item, at: path, to: &messages)
        case "function_call_output":
            let message = "messages[\(messages.count)]"
            names.add("\(message).tool_call_id", given: path + ".call_id")
            names.add("\(message).content", given: path + ".output")
            var object = JSONObject()
            object["role"] = "tool"
            object["tool_call_id"] = item["call_id"]
            object["content"] = item["output"]
            messages.append(.object(object))
        case "reasoning": break
        case let type:
            throw .unsupported("\(path) is of type \(type.quoted), which is not read here.", path + ".type")
        }
    }

    /// Adds a call to the message with those before it: a model has made them in one answer.
    private mutating func addCall(_ item: JSON, at path: String, to messages: inout [JSON]) {
        var function = JSONObject()
        function["name"] = item["name"]
        function["arguments"] = item["arguments"]
        let call: JSON = ["id": item["call_id"] ?? "", "type": "function", "function": .object(function)]
        var message = messages.last?.objectValue ?? JSONObject()
        var calls = message["tool_calls"]?.arrayValue ?? []
        if calls.isEmpty { message = JSONObject() } else { messages.removeLast() }
        names.add("messages[\(messages.count)].tool_calls[\(calls.count)].function", given: path)
        calls.append(call)
        message["role"] = "assistant"
        message["tool_calls"] = .array(calls)
        messages.append(.object(message))
    }
}
