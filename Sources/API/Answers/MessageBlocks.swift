import Martlet
import MartletJSON

/// The content blocks of an answer of `/v1/messages` as they are written, thinking, text and uses of tools in their
/// order, and the events that tell of them.
struct MessageBlocks {
    typealias Event = (name: String, fields: JSON)

    private enum Kind: String {
        case thinking, text
        case toolUse = "tool_use"
    }

    private struct Block {
        let kind: Kind
        /// What was thought or said, or the input of a tool in JSON.
        var text = ""
        /// Of a tool's use.
        var id = "", name = ""
    }

    private var blocks: [Block] = []
    private var isOpen = false

    /// Adds parts of the answer.
    mutating func take(_ parts: [AnswerPart]) -> [Event] {
        var events: [Event] = []
        for part in parts {
            switch part {
            case .thinking(let text): add(text, .thinking, &events)
            case .text(let text): add(text, .text, &events)
            case .call(_, let name):
                var block = Block(kind: .toolUse)
                (block.id, block.name) = ("toolu_" + RequestIdentity.random(), name)
                begin(block, &events)
            case .arguments(_, let text): add(text, .toolUse, &events)
            case .callEnd: events += close()
            }
        }
        return events
    }

    private mutating func add(_ text: String, _ kind: Kind, _ events: inout [Event]) {
        if !isOpen || blocks.last?.kind != kind {
            // What comes behind a call that has ended is none of it.
            guard kind != .toolUse else { return }
            begin(Block(kind: kind), &events)
        }
        blocks[blocks.count - 1].text += text
        let delta: JSON =
            switch kind {
            case .thinking: ["type": "thinking_delta", "thinking": .string(text)]
            case .text: ["type": "text_delta", "text": .string(text)]
            case .toolUse: ["type": "input_json_delta", "partial_json": .string(text)]
            }
        events.append(event("content_block_delta", ["delta": delta]))
    }

    private mutating func begin(_ block: Block, _ events: inout [Event]) {
        events += close()
        blocks.append(block)
        isOpen = true
        events.append(event("content_block_start", ["content_block": MessageBlocks.json(block)]))
    }

    /// Ends the open block. A block of thinking ends with its signature, which nobody checks here.
    mutating func close() -> [Event] {
        guard isOpen, let block = blocks.last else { return [] }
        isOpen = false
        var events: [Event] = []
        if block.kind == .thinking {
            events.append(event("content_block_delta", ["delta": ["type": "signature_delta", "signature": ""]]))
        }
        return events + [event("content_block_stop", [:])]
    }

    /// An event about the last block.
    private func event(_ name: String, _ fields: JSON) -> Event {
        var object = JSONObject()
        object["type"] = .string(name)
        object["index"] = .integer(blocks.count - 1)
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return (name, .object(object))
    }

    /// A block; the input of a tool that was cut is that of none.
    private static func json(_ block: Block) -> JSON {
        switch block.kind {
        case .thinking: ["type": "thinking", "thinking": .string(block.text), "signature": ""]
        case .text: ["type": "text", "text": .string(block.text)]
        case .toolUse:
            [
                "type": "tool_use", "id": .string(block.id), "name": .string(block.name),
                "input": .object((try? JSON(parsing: block.text))?.objectValue ?? JSONObject()),
            ]
        }
    }

    var json: [JSON] { blocks.map(MessageBlocks.json) }
}
