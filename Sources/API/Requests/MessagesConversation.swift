import MartletJSON

/// The conversation of a request in Anthropic's shape, message by message in the words of chat completions: blocks of
/// one message become texts, calls and results of tools.
struct MessagesConversation {
    private(set) var messages: [JSON] = []
    /// The client's names for the messages.
    private(set) var names: [(own: String, given: String)] = []
    /// True where the last message is the assistant's, which the answer goes on with.
    private(set) var isContinued = false

    /// `system`: a text, or blocks of text.
    mutating func add(system fields: Fields) throws(APIError) {
        guard fields["system"] != nil else { return }
        let texts = try MessagesConversation.texts(fields, "system")
        add(["role": "system", "content": .string(texts.joined(separator: "\n"))], given: "system")
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
            guard let content = message["content"] else { throw message.missing("content") }
            if let text = content.stringValue {
                add(["role": .string(role), "content": .string(text)], given: path)
            } else if role == "assistant" {
                try add(assistant: message, path)
            } else {
                try add(user: message, role, path)
            }
        }
        let last = messages.last
        isContinued =
            last?["role"] == "assistant" && last?["tool_calls"] == nil
            && last?["content"]?.stringValue?.isEmpty == false
    }

    private mutating func add(_ message: JSON, given path: String) {
        names.append(("messages[\(messages.count)]", path))
        messages.append(message)
    }

    // MARK: Blocks

    /// The blocks of a message: objects that have a type.
    private static func blocks(_ fields: Fields, _ name: String) throws(APIError) -> [(type: String, fields: Fields)] {
        guard let value = fields[name] else { return [] }
        guard value.arrayValue != nil else { throw fields.wrong(name, value, "a string or an array of blocks") }
        return try (fields.array(name, atMost: 1_024) ?? []).enumerated().map { index, block throws(APIError) in
            let block = try Fields(block, at: fields.path("\(name)[\(index)]"))
            return (try block.requiredString("type"), block)
        }
    }

    /// A text, or the texts of blocks of which none is anything else.
    private static func texts(_ fields: Fields, _ name: String) throws(APIError) -> [String] {
        if let text = fields[name]?.stringValue { return [text] }
        return try blocks(fields, name).map { type, block throws(APIError) in
            switch type {
            case "text": try block.requiredString("text")
            case "document": try document(block)
            default: throw notRead(type, block)
            }
        }
    }

    private static func notRead(_ type: String, _ block: Fields) -> APIError {
        .unsupported(
            "\(block.path("type")) is \(type.quoted), which is not read here: this server reads text and tools only.",
            block.path("type"))
    }

    /// A document that is text, under its title.
    private static func document(_ block: Fields) throws(APIError) -> String {
        guard let source = try block.object("source") else { throw block.missing("source") }
        let title = try block.string("title").map { $0 + "\n" } ?? ""
        switch try source.requiredString("type") {
        case "text": return title + (try source.requiredString("data"))
        case "content":
            let texts = try texts(source, "content")
            return title + texts.joined(separator: "\n")
        case let type: throw notRead(type, source)
        }
    }

    /// A user's blocks: results of tools are messages of their own, in their order with the texts around them.
    private mutating func add(user message: Fields, _ role: String, _ path: String) throws(APIError) {
        var texts: [String] = []
        let blocks = try MessagesConversation.blocks(message, "content")
        for (type, block) in blocks {
            switch type {
            case "text": texts.append(try block.requiredString("text"))
            case "document": texts.append(try MessagesConversation.document(block))
            case "tool_result":
                if !texts.isEmpty { add(MessagesConversation.message(role, &texts), given: path) }
                let result =
                    try MessagesConversation.texts(block, "content")
                add(
                    [
                        "role": "tool", "tool_call_id": .string(try block.requiredString("tool_use_id")),
                        "content": .string(result.joined(separator: "\n")),
                    ], given: path)
            default: throw MessagesConversation.notRead(type, block)
            }
        }
        if !texts.isEmpty || blocks.isEmpty { add(MessagesConversation.message(role, &texts), given: path) }
    }

    private static func message(_ role: String, _ texts: inout [String]) -> JSON {
        defer { texts = [] }
        return ["role": .string(role), "content": .string(texts.joined(separator: "\n"))]
    }

    /// An assistant's blocks: what it thought, said and called, as one message.
    private mutating func add(assistant message: Fields, _ path: String) throws(APIError) {
        var (texts, thoughts, calls): ([String], [String], [JSON]) = ([], [], [])
        for (type, block) in try MessagesConversation.blocks(message, "content") {
            switch type {
            case "text": texts.append(try block.requiredString("text"))
            case "thinking": thoughts.append(try block.requiredString("thinking"))
            case "redacted_thinking": break
            case "tool_use":
                guard let input = try block.object("input") else { throw block.missing("input") }
                let name = JSON.string(try block.requiredString("name"))
                calls.append([
                    "id": .string(try block.requiredString("id")), "type": "function",
                    "function": ["name": name, "arguments": .object(input.object)],
                ])
            default: throw MessagesConversation.notRead(type, block)
            }
        }
        var object = JSONObject()
        object["role"] = "assistant"
        object["content"] = .string(texts.joined(separator: "\n"))
        if !thoughts.isEmpty { object["reasoning_content"] = .string(thoughts.joined(separator: "\n")) }
        if !calls.isEmpty { object["tool_calls"] = .array(calls) }
        add(.object(object), given: path)
    }
}
