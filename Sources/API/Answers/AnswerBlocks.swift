import Martlet
import MartletJSON

/// The content blocks of an answer of `/v1/messages` as they are written, thinking, text and uses of tools in their
/// order, and the events that tell of them.
///
/// A use of a tool is told when it is complete, for its input must be an object; what is none stays text.
struct AnswerBlocks {
    typealias Event = (name: String, fields: JSON)

    private enum Block {
        case thinking(String)
        case text(String)
        case toolUse(id: String, name: String, input: JSONObject)
    }

    private var blocks: [Block] = []
    private var isOpen = false
    /// The call that is being written.
    private var call: (name: String, arguments: String)?
    /// True where a tool is used.
    private(set) var hasToolUse = false

    /// Adds parts of the answer.
    mutating func take(_ parts: [AnswerPart]) -> [Event] {
        var events: [Event] = []
        for part in parts {
            switch part {
            case .thinking(let text): add(thinking: text, &events)
            case .text(let text): add(text, &events)
            case .call(_, let name):
                endCall(&events)
                call = (name, "")
            // What comes behind a call that has ended is none of it.
            case .arguments(_, let text): call?.arguments += text
            case .callEnd: endCall(&events)
            }
        }
        return events
    }

    /// The end of the answer; a call that was cut has no input.
    mutating func close(isCut: Bool) -> [Event] {
        var events: [Event] = []
        if isCut, call != nil { call?.arguments = "" }
        endCall(&events)
        endBlock(&events)
        return events
    }

    private mutating func endCall(_ events: inout [Event]) {
        guard let (name, arguments) = call else { return }
        call = nil
        guard let input = AnswerBlocks.object(arguments) else {
            return add("\(name)(\(arguments))", &events)
        }
        hasToolUse = true
        begin(.toolUse(id: "toolu_" + RequestIdentity.random(), name: name, input: input), &events)
        if !input.isEmpty {
            let text = JSON.string(JSON.object(input).text())
            events.append(event("content_block_delta", ["delta": ["type": "input_json_delta", "partial_json": text]]))
        }
        endBlock(&events)
    }

    /// The arguments as an object, also where a model has written the text of one; none are an empty one.
    static func object(_ arguments: String) -> JSONObject? {
        guard !arguments.utf8.allSatisfy(CallParser.isBlank) else { return JSONObject() }
        let value = try? JSON(parsing: arguments)
        return value?.objectValue ?? value?.stringValue.flatMap { (try? JSON(parsing: $0))?.objectValue }
    }

    private mutating func add(_ text: String, _ events: inout [Event]) {
        var written = ""
        if isOpen, case .text(let before) = blocks.last { written = before } else { begin(.text(""), &events) }
        blocks[blocks.count - 1] = .text(written + text)
        events.append(event("content_block_delta", ["delta": ["type": "text_delta", "text": .string(text)]]))
    }

    private mutating func add(thinking text: String, _ events: inout [Event]) {
        var written = ""
        if isOpen, case .thinking(let before) = blocks.last { written = before } else { begin(.thinking(""), &events) }
        blocks[blocks.count - 1] = .thinking(written + text)
        events.append(event("content_block_delta", ["delta": ["type": "thinking_delta", "thinking": .string(text)]]))
    }

    private mutating func begin(_ block: Block, _ events: inout [Event]) {
        endBlock(&events)
        blocks.append(block)
        isOpen = true
        events.append(event("content_block_start", ["content_block": AnswerBlocks.json(block, isBegun: true)]))
    }

    /// Ends the open block. A block of thinking ends with its signature, which nobody checks here.
    private mutating func endBlock(_ events: inout [Event]) {
        guard isOpen, let block = blocks.last else { return }
        isOpen = false
        if case .thinking = block {
            events.append(event("content_block_delta", ["delta": ["type": "signature_delta", "signature": ""]]))
        }
        events.append(event("content_block_stop", [:]))
    }

    /// An event about the last block.
    private func event(_ name: String, _ fields: JSON) -> Event {
        var object = JSONObject()
        object["type"] = .string(name)
        object["index"] = .integer(blocks.count - 1)
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return (name, .object(object))
    }

    private static func json(_ block: Block, isBegun: Bool = false) -> JSON {
        switch block {
        case .thinking(let text): ["type": "thinking", "thinking": .string(text), "signature": ""]
        case .text(let text): ["type": "text", "text": .string(text)]
        case .toolUse(let id, let name, let input):
            [
                "type": "tool_use", "id": .string(id), "name": .string(name),
                "input": .object(isBegun ? JSONObject() : input),
            ]
        }
    }

    var json: [JSON] { blocks.map { AnswerBlocks.json($0) } }
}
