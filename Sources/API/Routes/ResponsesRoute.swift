import Martlet
import MartletGeneration
import MartletJSON

/// `POST /v1/responses`: OpenAI's newer shape over the same internals, without a store: text and calls of functions.
enum ResponsesRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        for name in ["previous_response_id", "conversation"] where fields[name] != nil {
            throw APIError.unsupported("Nothing is stored here: send the whole conversation as input.", name)
        }
        if try fields.bool("background") ?? false {
            throw APIError.unsupported("background is not served here.", "background")
        }
        let request = try ChatRequest(chatFields(fields), model)
        let prepared = try ChatPreparation(request, model, job)
        let writer = ResponsesWriter(prepared, prepared.run(job), job)
        return try await request.generation.streams ? writer.stream() : writer.whole()
    }

    /// The fields in the words of chat completions.
    private static func chatFields(_ fields: Fields) throws -> Fields {
        var object = JSONObject()
        var messages: [JSON] = []
        if let instructions = try fields.string("instructions") {
            messages.append(["role": "system", "content": .string(instructions)])
        }
        object["messages"] = .array(messages + (try inputMessages(fields)))
        for name in ["temperature", "top_p", "stream", "seed", "user", "parallel_tool_calls", "top_logprobs"] {
            object[name] = fields.object[name]
        }
        object["max_tokens"] = fields.object["max_output_tokens"]
        if let effort = try fields.object("reasoning")?.string("effort") {
            object["reasoning_effort"] = .string(effort)
        }
        object["tools"] = try tools(fields)
        object["tool_choice"] = fields["tool_choice"]
        if let format = try fields.object("text")?.object("format") {
            switch try format.requiredString("type") {
            case "json_schema":
                object["response_format"] = ["type": "json_schema", "json_schema": .object(format.object)]
            case let type: object["response_format"] = ["type": .string(type)]
            }
        }
        return Fields(object)
    }

    private static func tools(_ fields: Fields) throws -> JSON? {
        guard let given = try fields.array("tools", atMost: 128) else { return nil }
        return .array(
            try given.enumerated().map { index, tool in
                guard tool["type"]?.stringValue == "function", var function = tool.objectValue else {
                    throw APIError.unsupported(
                        "tools[\(index)]: only functions can be called here.", "tools[\(index)].type")
                }
                function["type"] = nil
                return ["type": "function", "function": .object(function)]
            })
    }

    /// `input`: a text, or items: messages, calls and their outputs.
    private static func inputMessages(_ fields: Fields) throws -> [JSON] {
        guard let value = fields["input"] else { throw fields.missing("input") }
        if let text = value.stringValue { return [["role": "user", "content": .string(text)]] }
        var messages: [JSON] = []
        for (index, item) in (try fields.array("input", atMost: 10_000) ?? []).enumerated() {
            switch item["type"]?.stringValue ?? "message" {
            case "message": messages.append(item)
            case "function_call":
                messages.append([
                    "role": "assistant",
                    "tool_calls": [
                        [
                            "id": item["call_id"] ?? "", "type": "function",
                            "function": ["name": item["name"] ?? "", "arguments": item["arguments"] ?? "{}"],
                        ]
                    ],
                ])
            case "function_call_output":
                messages.append([
                    "role": "tool", "tool_call_id": item["call_id"] ?? "", "content": item["output"] ?? "",
                ])
            case "reasoning": break
            case let type:
                throw APIError.unsupported(
                    "input[\(index)] is of type \(type.quoted), which is not read here.", "input[\(index)].type")
            }
        }
        return messages
    }
}

/// The answer in the shape of `/v1/responses`, whole or in named events.
private struct ResponsesWriter: Sendable {
    private let prepared: ChatPreparation
    private let run: AnswerRun
    private let job: Job
    private let id = "resp_" + RequestIdentity.random()
    private let messageID = "msg_" + RequestIdentity.random()
    private let created = UnixTime.now

    init(_ prepared: ChatPreparation, _ run: AnswerRun, _ job: Job) {
        (self.prepared, self.run, self.job) = (prepared, run, job)
    }

    private func response(_ status: String, output: [JSON], usage: JSON = .null) -> JSON {
        let generation = prepared.request.generation
        return [
            "id": .string(id), "object": "response", "created_at": .integer(created), "status": .string(status),
            "model": .string(prepared.model.name), "output": .array(output), "usage": usage, "error": .null,
            "incomplete_details": status == "incomplete" ? ["reason": "max_output_tokens"] : .null,
            "instructions": .null, "metadata": [:], "parallel_tool_calls": true, "store": false,
            "temperature": .score(generation.sampling.temperature), "top_p": .score(generation.sampling.topP),
            "tool_choice": "auto", "tools": .array(prepared.request.tools.map(\.definition)),
            "text": ["format": ["type": "text"]],
        ]
    }

    private func message(_ text: String, _ status: String = "completed") -> JSON {
        [
            "id": .string(messageID), "type": "message", "status": .string(status), "role": "assistant",
            "content": [["type": "output_text", "text": .string(text), "annotations": []]],
        ]
    }

    private func call(_ call: (id: String, name: String, arguments: String), _ status: String = "completed") -> JSON {
        [
            "id": .string("fc_" + call.id), "type": "function_call", "status": .string(status),
            "call_id": .string(call.id), "name": .string(call.name), "arguments": .string(call.arguments),
        ]
    }

    private func output(_ answer: CollectedAnswer) -> [JSON] {
        (answer.text.isEmpty && !answer.calls.isEmpty ? [] : [message(answer.text)]) + answer.calls.map { call($0) }
    }

    private func usage() async -> JSON {
        let generated = await run.generatedTokens
        return [
            "input_tokens": .integer(run.promptTokens),
            "input_tokens_details": ["cached_tokens": .integer(await run.cachedTokens)],
            "output_tokens": .integer(generated), "output_tokens_details": ["reasoning_tokens": 0],
            "total_tokens": .integer(run.promptTokens + generated),
        ]
    }

    private func finished(_ answer: CollectedAnswer) async -> JSON {
        response(answer.finish == "length" ? "incomplete" : "completed", output: output(answer), usage: await usage())
    }

    func whole() async throws -> APIResponse {
        let answer = try await CollectedAnswer.collect(run, choices: 1)[0]
        return APIResponse(await finished(answer))
    }

    func stream() async throws -> APIResponse {
        let first = try await run.next()
        return .events { sink in
            var events = EventNumbers()
            do {
                try await stream(first, &events, sink)
            } catch {
                await run.abandon()
                guard !(error is CancellationError) else { return }
                let failure = ModelService.failure(error)
                try? await sink(
                    events.event("error", ["message": .string(failure.message), "code": .string(failure.code ?? "")]))
            }
        }
    }

    private func stream(
        _ first: [AnswerRun.Update], _ events: inout EventNumbers, _ sink: APIResponse.Sink
    ) async throws {
        try await sink(events.event("response.created", ["response": response("in_progress", output: [])]))
        try await sink(events.event("response.in_progress", ["response": response("in_progress", output: [])]))
        var answer = CollectedAnswer()
        var isTextOpen = false
        for part in await run.beginning(ofChoice: 0) {
            try await send(part, &answer, &isTextOpen, &events, sink)
        }
        var updates = first
        while !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: try await sink(ServerEvents.ping)
                case .finished(_, let reason): answer.finish = reason
                case .delta(_, let delta):
                    for part in delta.parts { try await send(part, &answer, &isTextOpen, &events, sink) }
                }
            }
            updates = try await run.next()
        }
        if isTextOpen { try await sink(closedText(answer, &events)) }
        let end = await finished(answer)
        let name = answer.finish == "length" ? "response.incomplete" : "response.completed"
        try await sink(events.event(name, ["response": end]))
    }

    /// Sends one part of the answer.
    private func send(
        _ part: AnswerPart, _ answer: inout CollectedAnswer, _ isTextOpen: inout Bool, _ events: inout EventNumbers,
        _ sink: APIResponse.Sink
    ) async throws {
        answer.add(part)
        let position = JSON.integer(answer.text.isEmpty ? max(0, answer.calls.count - 1) : answer.calls.count)
        switch part {
        case .thinking: break
        case .text(let text):
            if !isTextOpen { try await sink(openedText(&events)) }
            isTextOpen = true
            try await sink(
                events.event(
                    "response.output_text.delta",
                    [
                        "item_id": .string(messageID), "output_index": 0, "content_index": 0, "delta": .string(text),
                        "logprobs": [],
                    ]))
        case .call:
            guard let last = answer.calls.last else { break }
            try await sink(
                events.event(
                    "response.output_item.added", ["output_index": position, "item": call(last, "in_progress")]))
        case .arguments(_, let text):
            guard let last = answer.calls.last else { break }
            try await sink(
                events.event(
                    "response.function_call_arguments.delta",
                    ["item_id": .string("fc_" + last.id), "output_index": position, "delta": .string(text)]))
        case .callEnd:
            guard let last = answer.calls.last else { break }
            try await sink(
                events.event(
                    "response.function_call_arguments.done",
                    [
                        "item_id": .string("fc_" + last.id), "output_index": position, "name": .string(last.name),
                        "arguments": .string(last.arguments),
                    ])
                    + events.event("response.output_item.done", ["output_index": position, "item": call(last)]))
        }
    }

    private func openedText(_ events: inout EventNumbers) -> [UInt8] {
        var item = message("", "in_progress").objectValue ?? JSONObject()
        item["content"] = []
        return events.event("response.output_item.added", ["output_index": 0, "item": .object(item)])
            + events.event(
                "response.content_part.added",
                [
                    "item_id": .string(messageID), "output_index": 0, "content_index": 0,
                    "part": ["type": "output_text", "text": "", "annotations": []],
                ])
    }

    private func closedText(_ answer: CollectedAnswer, _ events: inout EventNumbers) -> [UInt8] {
        let place: [(String, JSON)] = [("item_id", .string(messageID)), ("output_index", 0), ("content_index", 0)]
        var (text, part) = (JSONObject(), JSONObject())
        for (key, value) in place { (text[key], part[key]) = (value, value) }
        text["text"] = .string(answer.text)
        text["logprobs"] = []
        part["part"] = ["type": "output_text", "text": .string(answer.text), "annotations": []]
        return events.event("response.output_text.done", .object(text))
            + events.event("response.content_part.done", .object(part))
            + events.event("response.output_item.done", ["output_index": 0, "item": message(answer.text)])
    }
}

/// Named events with a number each.
private struct EventNumbers {
    private var next = 0

    mutating func event(_ name: String, _ fields: JSON) -> [UInt8] {
        var object = JSONObject()
        object["type"] = .string(name)
        object["sequence_number"] = .integer(next)
        next += 1
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return Array("event: \(name)\n".utf8) + ServerEvents.data(.object(object))
    }
}
