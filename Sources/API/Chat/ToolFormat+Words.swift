import Martlet
import MartletJSON

extension ToolFormat {
    /// Messages whose system message says which tools there are, in Hermes' words, for a template that does not read
    /// tools.
    func announcing(_ tools: [ToolDefinition], in messages: [JSON]) -> [JSON] {
        let list = tools.map { $0.definition.text() }.joined(separator: "\n")
        let text = """
            You may call functions to assist with the user query. Function signatures are within <tools></tools> tags:
            <tools>
            \(list)
            </tools>
            For each function call return a json object with function name and arguments within <tool_call></tool_call> tags:
            <tool_call>
            {"name": <function-name>, "arguments": <args-json-object>}
            </tool_call>
            """
        var messages = messages.map(ToolFormat.spelled)
        if messages.first?["role"]?.stringValue == "system", var first = messages.first?.objectValue {
            first["content"] = .string((first["content"]?.stringValue ?? "") + "\n\n" + text)
            messages[0] = .object(first)
        } else {
            messages.insert(["role": "system", "content": .string(text)], at: 0)
        }
        return messages
    }

    /// A message with its calls and results in words.
    private static func spelled(_ message: JSON) -> JSON {
        guard var object = message.objectValue else { return message }
        if object["role"]?.stringValue == "tool" {
            object["role"] = "user"
            let content = object["content"]?.stringValue ?? ""
            object["content"] = .string("<tool_response>\n\(content)\n</tool_response>")
        }
        guard let calls = object["tool_calls"]?.arrayValue else { return .object(object) }
        let texts = calls.compactMap { call -> String? in
            guard let function = call["function"] else { return nil }
            let name = (function["name"] ?? "").text()
            return
                "<tool_call>\n{\"name\": \(name), \"arguments\": \((function["arguments"] ?? .null).text())}\n</tool_call>"
        }
        let content = object["content"]?.stringValue ?? ""
        object["content"] = .string(((content.isEmpty ? [] : [content]) + texts).joined(separator: "\n"))
        object["tool_calls"] = nil
        return .object(object)
    }
}

extension ToolFormat {
    /// A message whose calls have names of nine letters and digits, which Mistral's templates insist on: others become
    /// such by a digest.
    static func withShortNames(_ message: JSON) -> JSON {
        guard var object = message.objectValue else { return message }
        if let name = object["tool_call_id"]?.stringValue { object["tool_call_id"] = .string(shortName(name)) }
        if let calls = object["tool_calls"]?.arrayValue {
            object["tool_calls"] = .array(
                calls.map { call in
                    guard var call = call.objectValue else { return call }
                    if let name = call["id"]?.stringValue { call["id"] = .string(shortName(name)) }
                    return .object(call)
                })
        }
        return .object(object)
    }

    private static func shortName(_ name: String) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        if name.utf8.count == 9, name.utf8.allSatisfy(letters.contains) { return name }
        // FNV-1a of 64 bits.
        var hash = name.utf8.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        let short = (0..<9).map { _ in
            defer { hash /= UInt64(letters.count) }
            return letters[Int(hash % UInt64(letters.count))]
        }
        return String(decoding: short, as: UTF8.self)
    }
}

extension ToolFormat {
    /// Calls of functions with any arguments, as a grammar in GBNF.
    ///
    /// - Parameter isOne: Whether there is one call only.
    func grammar(ofCalls names: [String], isOne: Bool) -> String {
        let root =
            switch self {
            case .hermes:
                isOne
                    ? #"root ::= "<tool_call>\n" call "\n</tool_call>""#
                    : #"root ::= "<tool_call>\n" call "\n</tool_call>" ("\n<tool_call>\n" call "\n</tool_call>")*"#
            case .llama: "root ::= call"
            case .mistral: #"root ::= "[TOOL_CALLS][" call "# + (isOne ? #""]""# : #"(", " call)* "]""#)
            }
        // Names are letters, digits, _, - and dots.
        let name = names.map { #""\""# + $0 + #"\"""# }.joined(separator: " | ")
        return """
            \(root)
            call ::= "{\\"name\\": " name ", \\"\(argumentsKey)\\": " object "}"
            name ::= \(name)
            object ::= "{" space (pair (comma pair)*)? space "}"
            pair ::= string space ":" space value
            comma ::= space "," space
            value ::= object | array | string | number | "true" | "false" | "null"
            array ::= "[" space (value (comma value)*)? space "]"
            string ::= "\\"" character* "\\""
            character ::= [^"\\\\\\x00-\\x1F] | "\\\\" (["\\\\/bfnrt] | "u" digit digit digit digit)
            digit ::= [0-9a-fA-F]
            number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
            space ::= " "?
            """
    }
}
