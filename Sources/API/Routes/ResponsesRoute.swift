import Martlet
import MartletGeneration
import MartletJSON

/// `POST /v1/responses`: OpenAI's newer shape over the same internals, without a store: text and calls of functions.
enum ResponsesRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try ResponsesRequest(fields)
        return try await request.names.translatingErrors {
            let prepared = try ChatPreparation(ChatRequest(request.chat, model), model, job)
            let writer = ResponsesWriter(prepared, prepared.run(job), job, echo: request.echo)
            return try await prepared.request.generation.streams ? writer.stream() : writer.whole()
        }
    }
}

/// The answer in the shape of `/v1/responses`, whole or in named events.
private struct ResponsesWriter: Sendable {
    private let prepared: ChatPreparation
    private let run: AnswerRun
    private let job: Job
    private let echo: JSONObject
    private let id = "resp_" + RequestIdentity.random()
    private let created = UnixTime.now

    init(_ prepared: ChatPreparation, _ run: AnswerRun, _ job: Job, echo: JSONObject) {
        (self.prepared, self.run, self.job, self.echo) = (prepared, run, job, echo)
    }

    private var items: ResponseItems {
        let generation = prepared.request.generation
        return ResponseItems(generation.alternatives == nil ? nil : prepared.tokenizer)
    }

    private func response(_ status: String, output: [JSON], usage: JSON = .null) -> JSON {
        let sampling = prepared.request.generation.sampling
        var response = JSONObject()
        response["id"] = .string(id)
        response["object"] = "response"
        response["created_at"] = .integer(created)
        response["status"] = .string(status)
        response["model"] = .string(prepared.model.name)
        response["output"] = .array(output)
        response["usage"] = usage
        response["error"] = .null
        response["incomplete_details"] = status == "incomplete" ? ["reason": "max_output_tokens"] : .null
        response["temperature"] = .score(sampling.temperature)
        response["top_p"] = .score(sampling.topP)
        for (key, value) in echo.members { response[key] = value }
        return .object(response)
    }

    private func usage() async -> JSON {
        let generated = await run.generatedTokens
        return [
            "input_tokens": .integer(run.promptTokens),
            "input_tokens_details": ["cached_tokens": .integer(await run.cachedTokens)],
            "output_tokens": .integer(generated),
            "output_tokens_details": ["reasoning_tokens": .integer(await run.thinkingTokens)],
            "total_tokens": .integer(run.promptTokens + generated),
        ]
    }

    /// The response at its end.
    private func finished(_ items: ResponseItems, isCut: Bool) async -> JSON {
        let response = response(isCut ? "incomplete" : "completed", output: items.json, usage: await usage())
        job.log(response, of: prepared.model)
        return response
    }

    func whole() async throws -> APIResponse {
        var (items, isCut) = (items, false)
        for part in await run.beginning(ofChoice: 0) { _ = items.take([part], []) }
        while case let updates = try await run.next(), !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: break
                case .finished(_, let reason): isCut = reason == .length
                case .delta(_, let delta): _ = items.take(delta.parts, delta.tokens)
                }
            }
        }
        _ = items.close(isCut: isCut)
        return APIResponse(await finished(items, isCut: isCut))
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
                    events.bytes(
                        "error",
                        [
                            "code": failure.code.map { .string($0) } ?? .null, "message": .string(failure.message),
                            "param": failure.parameter.map { .string($0) } ?? .null,
                        ]))
            }
        }
    }

    private func stream(
        _ first: [AnswerRun.Update], _ events: inout EventNumbers, _ sink: APIResponse.Sink
    ) async throws {
        try await sink(events.bytes("response.created", ["response": response("in_progress", output: [])]))
        try await sink(events.bytes("response.in_progress", ["response": response("in_progress", output: [])]))
        var (items, isCut) = (items, false)
        try await sink(events.bytes(items.take(await run.beginning(ofChoice: 0), [])))
        var updates = first
        while !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: try await sink(ServerSentEvents.ping)
                case .finished(_, let reason): isCut = reason == .length
                case .delta(_, let delta): try await sink(events.bytes(items.take(delta.parts, delta.tokens)))
                }
            }
            updates = try await run.next()
        }
        try await sink(events.bytes(items.close(isCut: isCut)))
        let end = await finished(items, isCut: isCut)
        try await sink(events.bytes(isCut ? "response.incomplete" : "response.completed", ["response": end]))
    }
}

/// Named events with a number each.
private struct EventNumbers {
    private var next = 0

    mutating func bytes(_ name: String, _ fields: JSON) -> [UInt8] {
        var object = JSONObject()
        object["type"] = .string(name)
        object["sequence_number"] = .integer(next)
        next += 1
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return ServerSentEvents.event(name, .object(object))
    }

    mutating func bytes(_ events: [ResponseItems.Event]) -> [UInt8] {
        events.reduce(into: []) { $0 += bytes($1.name, $1.fields) }
    }
}
