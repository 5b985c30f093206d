import MartletJSON

/// Tool calls in what a model wrote, whatever its spelling: between `<tool_call>` marks (Hermes, Qwen), or an answer
/// that is nothing but JSON, one call (Llama 3.1) or a list of them (Mistral, whose special token is no text).
package struct ToolCallParser: Sendable {
    private static let opening = Array("<tool_call>".utf8)
    /// The names of the tools that may be called.
    private let names: Set<String>

    /// A parser of calls to the tools called `names`.
    package init(names: Set<String>) { self.names = names }

    /// Returns whether `text`, the beginning of an answer, may still become a tool call.
    package func mayBecomeCall(_ text: String) -> Bool {
        guard !names.isEmpty else { return false }
        let start = text.utf8.drop(while: CallParser.isBlank)
        return start.isEmpty || start.first == UInt8(ascii: "{") || start.first == UInt8(ascii: "[")
            || start.starts(with: ToolCallParser.opening) || ToolCallParser.opening.starts(with: start)
    }

    /// The calls in a whole answer; none where it is an answer to the user.
    package func calls(in text: String) -> [Transcript.ToolCall] {
        guard mayBecomeCall(text), let first = text.utf8.drop(while: CallParser.isBlank).first else { return [] }
        let format: ToolFormat =
            switch first {
            case UInt8(ascii: "{"): .llama
            case UInt8(ascii: "["): .mistral
            default: .hermes
            }
        var parser = CallParser(format)
        let parts = parser.append((format == .mistral ? "[TOOL_CALLS]" : "") + text) + parser.finish()
        return calls(of: parts)
    }

    /// The calls of an answer's parts; none where anything else was written, a call is not complete, or names no tool.
    private func calls(of parts: [AnswerPart]) -> [Transcript.ToolCall] {
        var calls: [Transcript.ToolCall] = []
        var (name, arguments) = ("", "")
        for part in parts {
            switch part {
            case .text(let text): if !text.utf8.allSatisfy(CallParser.isBlank) { return [] }
            case .thinking: break
            case .call(_, let called): (name, arguments) = (called, "")
            case .arguments(_, let text): arguments += text
            case .callEnd:
                guard names.contains(name), let given = try? JSON(parsing: arguments), given.objectValue != nil else {
                    return []
                }
                calls.append(.init(name: name, arguments: given.text(.compact)))
                name = ""
            }
        }
        return name.isEmpty ? calls : []
    }
}
