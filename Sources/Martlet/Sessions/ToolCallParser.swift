import MartletJSON

/// Tool calls in the text that a model wrote.
///
/// Two spellings are known: JSON between `<tool_call>` and `</tool_call>` (Hermes, Qwen), and an answer that is nothing but
/// JSON, one call or a list of them (Llama 3.1, and Mistral behind its special token).
package struct ToolCallParser: Sendable {
    private static let opening = "<tool_call>", closing = "</tool_call>"
    /// The names of the tools that may be called.
    private let names: Set<String>

    /// A parser of calls to the tools called `names`.
    package init(names: Set<String>) { self.names = names }

    /// Whether `text`, the beginning of an answer, may still become a tool call.
    package func mayBecomeCall(_ text: String) -> Bool {
        guard !names.isEmpty else { return false }
        let start = ToolCallParser.trimmed(text[...].utf8)
        let opening = Array(ToolCallParser.opening.utf8)
        return start.isEmpty || start.first == UInt8(ascii: "{") || start.first == UInt8(ascii: "[")
            || start.starts(with: opening) || opening.starts(with: start)
    }

    /// The calls in a whole answer; none where it is an answer to the user.
    package func calls(in text: String) -> [Transcript.ToolCall] {
        guard !names.isEmpty else { return [] }
        let answer = ToolCallParser.trimmed(text[...].utf8)
        let (opening, closing) = (Array(ToolCallParser.opening.utf8), Array(ToolCallParser.closing.utf8))
        guard answer.starts(with: opening) else { return calls(inJSON: Array(answer)) }
        var calls: [Transcript.ToolCall] = []
        var rest = Array(answer)[...]
        while rest.starts(with: opening) {
            rest = rest.dropFirst(opening.count)
            let end = rest.indices.first { rest[$0...].starts(with: closing) } ?? rest.endIndex
            calls += self.calls(inJSON: Array(rest[..<end]))
            rest = rest[end...].dropFirst(closing.count).drop { " \n\r\t".utf8.contains($0) }
        }
        return calls
    }

    private func calls(inJSON text: [UInt8]) -> [Transcript.ToolCall] {
        guard let json = try? JSON(parsing: text) else { return [] }
        let calls = (json.arrayValue ?? [json]).map(call)
        return calls.contains { $0 == nil } ? [] : calls.compactMap { $0 }
    }

    private func call(_ json: JSON) -> Transcript.ToolCall? {
        guard let name = json["name"]?.stringValue, names.contains(name) else { return nil }
        guard let arguments = json["arguments"] ?? json["parameters"], arguments.objectValue != nil else { return nil }
        return Transcript.ToolCall(name: name, arguments: arguments.text(.compact))
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        text.drop { " \n\r\t".utf8.contains($0) }
    }
}
