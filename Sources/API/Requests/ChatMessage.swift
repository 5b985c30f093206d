import MartletJSON

/// Messages as templates read them: `role`, a text as `content`, tool calls with parsed arguments.
enum ChatMessage {
    private static let roles = ["system", "developer", "user", "assistant", "tool"]

    static func normalised(_ message: JSON, at path: String) throws(APIError) -> JSON {
        let fields = try Fields(message, at: path)
        var role = try fields.requiredString("role")
        guard roles.contains(role) else {
            throw .invalid(
                "\(path).role is \(role.quoted), but one of \(roles.joined(separator: ", ")) is expected.",
                path + ".role", code: "invalid_value")
        }
        if role == "developer" { role = "system" }
        var result = JSONObject()
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
            let part = try Fields(part, at: path)
            let type = try part.requiredString("type")
            guard ["text", "input_text", "output_text", "refusal"].contains(type) else {
                throw .unsupported("\(path) is of type \(type.quoted); this server reads text only.", path + ".type")
            }
            return try part.requiredString(type == "refusal" ? "refusal" : "text")
        }.joined(separator: "\n")
    }

    /// Templates read arguments as values, clients send them as JSON text.
    private static func toolCall(_ call: JSON, at path: String) throws(APIError) -> JSON {
        let fields = try Fields(call, at: path)
        guard let function = try fields.object("function") else { throw fields.missing("function") }
        let name = try function.requiredString("name")
        let given = function["arguments"] ?? .object(JSONObject())
        let arguments = given.stringValue.map { text in (try? JSON(parsing: text)) ?? given } ?? given
        var result = JSONObject()
        result["id"] = fields.object["id"]
        result["type"] = "function"
        result["function"] = ["name": .string(name), "arguments": arguments]
        return .object(result)
    }
}
