import Martlet
import MartletGeneration
import MartletJSON
import MartletTokenizers

/// The output items of `/v1/responses` as they are written, thinking, text and calls in their order, and the events
/// that tell of them.
struct ResponseItems {
    typealias Event = (name: String, fields: JSON)

    private enum Kind { case thinking, text, call }

    private struct Item {
        let kind: Kind
        let id: String
        var status = "in_progress"
        var text = ""
        var probabilities: [JSON] = []
        /// Of a call.
        var callID = ""
        var name = ""
    }

    /// Nil where no probabilities are asked for.
    private let tokenizer: Tokenizer?
    private var items: [Item] = []

    init(_ tokenizer: Tokenizer?) { self.tokenizer = tokenizer }

    /// Adds parts of the answer, and the tokens that they consist of.
    mutating func take(_ parts: [AnswerPart], _ tokens: [SampledToken]) -> [Event] {
        var events: [Event] = []
        var tokens = tokens
        // Tokens whose text is held back have probabilities already.
        if parts.isEmpty, tokenizer != nil, !tokens.isEmpty, open?.kind == .text { add("", .text, tokens, &events) }
        for part in parts {
            switch part {
            case .thinking(let text): add(text, .thinking, [], &events)
            case .text(let text):
                add(text, .text, tokens, &events)
                tokens = []
            case .call(_, let name): beginCall(name, &events)
            case .arguments(_, let text): add(text, .call, [], &events)
            case .callEnd: events += end("completed")
            }
        }
        return events
    }

    /// The end of the answer: what is open was cut where the answer was.
    mutating func close(isCut: Bool) -> [Event] { end(isCut ? "incomplete" : "completed") }

    private var open: Item? { items.last.flatMap { $0.status == "in_progress" ? $0 : nil } }

    private mutating func add(_ text: String, _ kind: Kind, _ tokens: [SampledToken], _ events: inout [Event]) {
        if open?.kind != kind {
            // What comes behind a call that has ended is none of it.
            guard kind != .call else { return }
            begin(Item(kind: kind, id: (kind == .text ? "msg_" : "rs_") + RequestIdentity.random()), &events)
        }
        let index = items.count - 1
        items[index].text += text
        var fields = JSONObject()
        fields["delta"] = .string(text)
        if kind == .text {
            let new =
                tokenizer.map { LogProbabilities.chat(tokens, $0, isWanted: true)["content"]?.arrayValue ?? [] } ?? []
            items[index].probabilities += new
            fields["logprobs"] = .array(new)
        }
        events.append(event(ResponseItems.name(kind) + ".delta", .object(fields)))
    }

    private mutating func beginCall(_ name: String, _ events: inout [Event]) {
        let callID = "call_" + RequestIdentity.random()
        var item = Item(kind: .call, id: "fc_" + callID)
        (item.callID, item.name) = (callID, name)
        begin(item, &events)
    }

    private mutating func begin(_ item: Item, _ events: inout [Event]) {
        events += end("completed")
        items.append(item)
        events.append(
            (
                "response.output_item.added",
                ["output_index": .integer(items.count - 1), "item": json(item, isNew: true)]
            ))
        if item.kind != .call { events.append(event("response.content_part.added", ["part": content(item)])) }
    }

    private mutating func end(_ status: String) -> [Event] {
        guard open != nil else { return [] }
        items[items.count - 1].status = status
        let item = items[items.count - 1]
        var fields = JSONObject()
        if item.kind == .call { fields["name"] = .string(item.name) }
        fields[item.kind == .call ? "arguments" : "text"] = .string(item.text)
        if item.kind == .text { fields["logprobs"] = .array(item.probabilities) }
        var events = [event(ResponseItems.name(item.kind) + ".done", .object(fields))]
        if item.kind != .call { events.append(event("response.content_part.done", ["part": content(item)])) }
        let index = JSON.integer(items.count - 1)
        return events + [("response.output_item.done", ["output_index": index, "item": json(item)])]
    }

    private static func name(_ kind: Kind) -> String {
        switch kind {
        case .thinking: "response.reasoning_text"
        case .text: "response.output_text"
        case .call: "response.function_call_arguments"
        }
    }

    /// An event about the last item.
    private func event(_ name: String, _ fields: JSON) -> Event {
        var object = JSONObject()
        let item = items[items.count - 1]
        object["item_id"] = .string(item.id)
        object["output_index"] = .integer(items.count - 1)
        if item.kind != .call { object["content_index"] = 0 }
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return (name, .object(object))
    }

    private func content(_ item: Item) -> JSON {
        item.kind == .thinking
            ? ["type": "reasoning_text", "text": .string(item.text)]
            : [
                "type": "output_text", "text": .string(item.text), "annotations": [],
                "logprobs": .array(item.probabilities),
            ]
    }

    private func json(_ item: Item, isNew: Bool = false) -> JSON {
        var object = JSONObject()
        object["id"] = .string(item.id)
        object["type"] = item.kind == .call ? "function_call" : item.kind == .text ? "message" : "reasoning"
        object["status"] = .string(item.status)
        switch item.kind {
        case .call:
            object["call_id"] = .string(item.callID)
            object["name"] = .string(item.name)
            object["arguments"] = .string(item.text)
        case .text:
            object["role"] = "assistant"
            object["content"] = isNew ? [] : [content(item)]
        case .thinking:
            object["summary"] = []
            object["content"] = isNew ? [] : [content(item)]
        }
        return .object(object)
    }

    var json: [JSON] { items.map { json($0) } }
}
