import MartletJSON

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
