package import MartletJSON
package import MartletTemplates

extension ChatFormat {
    /// The text that a template makes of a conversation; of one that it refuses, as a stricter template takes it.
    ///
    /// - Parameter render: The template.
    /// - Throws: ``TemplateError``: why the conversation was refused as it is.
    package static func fitting(
        _ messages: [JSON], _ render: ([JSON]) throws(TemplateError) -> String
    ) throws(TemplateError) -> String {
        do throws(TemplateError) {
            return try render(messages)
        } catch {
            guard error.kind == .raised else { throw error }
            for other in stricter(messages) {
                if let text = try? render(other) { return text }
            }
            throw error
        }
    }

    /// The conversation in the forms that stricter templates take, the nearest first: neighbouring messages of one
    /// role as one (Mistral's), and instructions as what the user says first (Gemma 2's). None where nothing changes.
    private static func stricter(_ messages: [JSON]) -> [[JSON]] {
        let told = messages.map { message -> JSON in
            guard message["role"] == "system", var object = message.objectValue else { return message }
            object["role"] = "user"
            return .object(object)
        }
        return [joined(messages), joined(told)].filter { $0 != messages }
    }

    /// Messages of which no two neighbours are texts of one role.
    private static func joined(_ messages: [JSON]) -> [JSON] {
        var result: [JSON] = []
        for message in messages {
            guard var last = result.last?.objectValue, last["role"] == message["role"],
                let before = text(.object(last)), let after = text(message)
            else {
                result.append(message)
                continue
            }
            last["content"] = .string([before, after].filter { !$0.isEmpty }.joined(separator: "\n\n"))
            result[result.count - 1] = .object(last)
        }
        return result
    }

    /// The text of a message that holds nothing else; nil for calls, their results, and thinking.
    private static func text(_ message: JSON) -> String? {
        guard message["role"] != "tool", message["tool_calls"] == nil, message["reasoning_content"] == nil else {
            return nil
        }
        return message["content"]?.stringValue
    }
}
