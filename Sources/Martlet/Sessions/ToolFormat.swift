import MartletJSON

/// The format in which a model's template writes tool calls.
package enum ToolFormat: Sendable, Equatable {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen; also what a model is told whose template
    /// knows no tools.
    case hermes
    /// `{"name": …, "parameters": …}` as the whole answer, perhaps after `<|python_tag|>`: Llama 3.
    case llama
    /// `[TOOL_CALLS][{"name": …, "arguments": …}, …]`: Mistral.
    case mistral

    /// The format that a template writes.
    package init(template: String) {
        func mentions(_ word: String) -> Bool {
            CallParser.first(Array(word.utf8), in: Array(template.utf8)) != nil
        }
        if mentions("[TOOL_CALLS]") {
            self = .mistral
        } else if !mentions("<tool_call>"), ["python_tag", "ipython"].contains(where: mentions) {
            self = .llama
        } else {
            self = .hermes
        }
    }

    /// The mark that begins a call; nil where a call is the whole answer.
    package var opening: String? {
        switch self {
        case .hermes: "<tool_call>"
        case .llama: nil
        case .mistral: "[TOOL_CALLS]"
        }
    }

    /// The text of the answer up to the arguments of a call of `name`, for a call that is asked for.
    package func beginning(ofCall name: String) -> String {
        let name = JSON.string(name).text()
        return switch self {
        case .hermes: "<tool_call>\n{\"name\": \(name), \"arguments\": "
        case .llama: "{\"name\": \(name), \"parameters\": "
        case .mistral: "[TOOL_CALLS][{\"name\": \(name), \"arguments\": "
        }
    }

    /// The text before the object of a call.
    package var callBeginning: String {
        switch self {
        case .hermes: "<tool_call>\n"
        case .llama: ""
        case .mistral: "[TOOL_CALLS]["
        }
    }

    /// The key under which a call has its arguments.
    package var argumentsKey: String { self == .llama ? "parameters" : "arguments" }

    /// The text that follows the arguments.
    package var callEnd: String {
        switch self {
        case .hermes: "}\n</tool_call>"
        case .llama: "}"
        case .mistral: "}]"
        }
    }
}
