import MartletJSON

/// The conversation of a request in Anthropic's shape, turn by turn in the words of chat completions: blocks of a
/// message become texts, calls and results of tools.
struct MessagesConversation {
    private(set) var messages: [JSON] = []
    /// The client's names for the messages.
    private(set) var names: [(own: String, given: String)] = []

    /// True where the last message is the assistant's, which the answer goes on with.
    var isContinued: Bool {
        let last = messages.last
        return last?["role"] == "assistant" && last?["tool_calls"] == nil
            && last?["content"]?.stringValue?.isEmpty == false
    }

    /// `system`: a text, or blocks of text.
    mutating func add(system fields: Fields) throws(APIError) {
        guard fields["system"] != nil else { return }
        let texts = try MessageBlock.texts(fields, "system").map(MessagesConversation.withoutNote).filter {
            !$0.isEmpty
        }
        if !texts.isEmpty { add("system", texts, given: "system") }
    }

    /// A client's note of its version and session, which is another one in every request, is no instruction; with it no
    /// two prompts would begin alike.
    private static func withoutNote(_ text: String) -> String {
        guard text.utf8.starts(with: "x-anthropic-billing-header:".utf8) else { return text }
        guard let end = text.utf8.firstIndex(of: 0x0A) else { return "" }
        return String(text[text.utf8.index(after: end)...])
    }

    mutating func add(messages fields: Fields) throws(APIError) {
        guard let given = try fields.array("messages", atMost: 10_000) else { throw fields.missing("messages") }
        guard !given.isEmpty else { throw .invalid("messages is empty; give at least one.", "messages") }
        for (index, message) in given.enumerated() {
            let path = "messages[\(index)]"
            let message = try Fields(message, at: path)
            let role = try message.requiredString("role")
            guard ["user", "assistant", "system"].contains(role) else {
                throw .invalid(
                    "\(path).role is \(role.quoted), but one of user, assistant is expected.", path + ".role",
                    code: "invalid_value")
            }
            guard message["content"] != nil else { throw message.missing("content") }
            let blocks = try MessageBlock.list(message, "content")
            switch role {
            case "assistant": try add(assistant: blocks, path)
            case "user": try add(user: blocks, path, isLast: index == given.count - 1)
            default: try add(system: blocks, path)
            }
        }
    }

    // MARK: Turns

    private mutating func add(_ role: String, _ texts: [String], given path: String) {
        var message = JSONObject()
        message["role"] = .string(role)
        message["content"] = .string(texts.joined(separator: "\n"))
        add(message, given: path)
    }

    /// Adds a message; one of the same role as the last is the same turn.
    private mutating func add(_ message: JSONObject, given path: String) {
        guard var turn = messages.last?.objectValue, turn["role"] == message["role"], message["role"] != "tool" else {
            names.append(("messages[\(messages.count)]", path))
            messages.append(.object(message))
            return
        }
        for name in ["content", "reasoning_content"] {
            let texts = [turn[name], message[name]].compactMap { $0?.stringValue }.filter { !$0.isEmpty }
            if !texts.isEmpty { turn[name] = .string(texts.joined(separator: "\n")) }
        }
        let calls = (turn["tool_calls"]?.arrayValue ?? []) + (message["tool_calls"]?.arrayValue ?? [])
        if !calls.isEmpty { turn["tool_calls"] = .array(calls) }
        messages[messages.count - 1] = .object(turn)
    }

    /// Adds a system message; behind the first turn, where few templates have a place for one, as a part of the user's.
    private mutating func add(system blocks: [MessageBlock], _ path: String) throws(APIError) {
        let texts = try blocks.map { block throws(APIError) in try block.text() }
        guard messages.contains(where: { $0["role"] != "system" }) else { return add("system", texts, given: path) }
        add("user", ["<system-reminder>"] + texts + ["</system-reminder>"], given: path)
    }

    /// A user's blocks: results of tools are messages of their own, in their order with the texts around them. What is
    /// no text is refused where it is asked about, and told to be missing where it is history or a tool's result.
    private mutating func add(user blocks: [MessageBlock], _ path: String, isLast: Bool) throws(APIError) {
        var texts: [String] = []
        for block in blocks {
            guard block.type == "tool_result" else {
                texts.append(try block.text(orNote: !isLast))
                continue
            }
            if !texts.isEmpty { add("user", texts, given: path) }
            texts = []
            var message = JSONObject()
            message["role"] = "tool"
            message["tool_call_id"] = .string(try block.fields.requiredString("tool_use_id"))
            message["content"] = .string(try MessagesConversation.result(block.fields))
            add(message, given: path)
        }
        if !texts.isEmpty || blocks.isEmpty { add("user", texts, given: path) }
    }

    private static func result(_ fields: Fields) throws(APIError) -> String {
        let blocks = try MessageBlock.list(fields, "content")
        let text = try blocks.map { block throws(APIError) in try block.text(orNote: true) }.joined(separator: "\n")
        let isTold = text.lowercased().utf8.starts(with: "error".utf8)
        return try fields.bool("is_error") ?? false && !isTold ? "Error: " + text : text
    }

    /// An assistant's blocks: what it thought, said and called, as one message. Tools that ran elsewhere have left what
    /// they found in its texts.
    private mutating func add(assistant blocks: [MessageBlock], _ path: String) throws(APIError) {
        var (texts, thoughts, calls): ([String], [String], [JSON]) = ([], [], [])
        for block in blocks {
            switch block.type {
            case "thinking": thoughts.append(try block.fields.requiredString("thinking"))
            case "redacted_thinking", "server_tool_use": break
            case let type where type.utf8.suffix(12).elementsEqual("_tool_result".utf8): break
            case "tool_use":
                guard let input = try block.fields.object("input") else { throw block.fields.missing("input") }
                let name = JSON.string(try block.fields.requiredString("name"))
                calls.append([
                    "id": .string(try block.fields.requiredString("id")), "type": "function",
                    "function": ["name": name, "arguments": .object(input.object)],
                ])
            default: texts.append(try block.text())
            }
        }
        var message = JSONObject()
        message["role"] = "assistant"
        message["content"] = .string(texts.joined(separator: "\n"))
        if !thoughts.isEmpty { message["reasoning_content"] = .string(thoughts.joined(separator: "\n")) }
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        add(message, given: path)
    }
}
