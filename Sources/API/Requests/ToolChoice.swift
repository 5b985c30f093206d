import MartletJSON

/// The choice of tools, whether the model must call a function.
enum ToolChoice: Sendable, Equatable {
    case none
    case automatic
    case required
    case named(String)

    /// The choice, and the tools that it leaves: all of them, but for a choice of type `allowed_tools`.
    static func read(
        _ fields: Fields, _ tools: [ToolDefinition]
    ) throws(APIError) -> (tools: [ToolDefinition], choice: ToolChoice) {
        guard fields["tool_choice"]?["type"] == "allowed_tools", let choice = try fields.object("tool_choice") else {
            return (tools, try ToolChoice(fields, tools))
        }
        // Chats have the list in an object of its own, responses do not.
        let allowed = try choice.object("allowed_tools") ?? choice
        let path = allowed.path("tools")
        guard let given = try allowed.array("tools", atMost: ToolDefinition.most) else {
            throw allowed.missing("tools")
        }
        let names = try given.enumerated().map { index, tool throws(APIError) in
            guard let name = (tool["function"] ?? tool)["name"]?.stringValue,
                tools.contains(where: { $0.name.hasSameBytes(as: name) })
            else {
                throw .invalid(
                    "\(path)[\(index)] is none of the tools.", "\(path)[\(index)]", code: "invalid_value")
            }
            return name
        }
        let left = tools.filter { tool in names.contains { $0.hasSameBytes(as: tool.name) } }
        let mode = try allowed.choice("mode", AllowedMode.self) ?? .auto
        guard !left.isEmpty else { throw .invalid("\(path) is empty.", path, code: "invalid_value") }
        return (left, mode == .auto ? .automatic : .required)
    }

    private enum AllowedMode: String, CaseIterable { case auto, required }

    private init(_ fields: Fields, _ tools: [ToolDefinition]) throws(APIError) {
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
                    "tool_choice.type is \(type.quoted), which is not served here; name a function.",
                    "tool_choice.type")
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
