import MartletJSON

extension ConversationFormat {
    /// The same conversation in the forms that stricter templates take, the nearest first: neighbouring messages of one
    /// role as one (Mistral's), and instructions as what the user says first (Gemma 2's). None where nothing changes.
    static func stricter(_ messages: [JSON]) -> [[JSON]] {
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
