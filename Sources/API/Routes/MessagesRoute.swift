import Martlet
import MartletJSON

/// `POST /v1/messages`: a conversation in Anthropic's shape over the same internals as chat completions.
enum MessagesRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try MessagesRequest(fields)
        return try await request.names.translatingErrors {
            let prepared = try ChatPreparation(request.chat, model, job)
            let writer = MessagesWriter(prepared, prepared.run(job), job)
            return try await prepared.request.generation.streams ? writer.stream() : writer.whole()
        }
    }

    /// `POST /v1/messages/count_tokens`: the number of tokens that a conversation becomes.
    static func count(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try MessagesRequest(fields)
        return try await request.names.translatingErrors {
            let count = try TokenRoutes.tokens(of: ChatRequest(request.chat, model), model)
            return APIResponse(["input_tokens": .integer(count)])
        }
    }
}

/// The answer in the shape of `/v1/messages`, whole or in named events.
private struct MessagesWriter: Sendable {
    private let prepared: ChatPreparation
    private let run: AnswerRun
    private let job: Job
    private let id = "msg_" + RequestIdentity.random()

    init(_ prepared: ChatPreparation, _ run: AnswerRun, _ job: Job) {
        (self.prepared, self.run, self.job) = (prepared, run, job)
    }

    /// The reason why an answer ended, and the stop text of the request that ended it.
    private func end(_ finish: AnswerFinish, _ blocks: AnswerBlocks) async -> (reason: JSON, stopText: JSON) {
        switch finish {
        case .length: return ("max_tokens", .null)
        case .toolCalls: return (blocks.hasToolUse ? "tool_use" : "end_turn", .null)
        case .stop:
            // Without stop texts of the request, those of the model are in force, which clients know nothing of.
            guard !prepared.request.generation.stopTexts.isEmpty, let text = await run.stopText(ofChoice: 0) else {
                return ("end_turn", .null)
            }
            return ("stop_sequence", .string(text))
        }
    }

    /// The tokens that were read anew and from the cache, and those written.
    private func usage() async -> JSON {
        let cached = await run.cachedTokens
        return [
            "input_tokens": .integer(run.promptTokens - cached), "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": .integer(cached), "output_tokens": .integer(await run.generatedTokens),
        ]
    }

    private func message(
        _ content: [JSON], _ end: (reason: JSON, stopText: JSON), _ usage: JSON
    ) -> JSON {
        [
            "id": .string(id), "type": "message", "role": "assistant", "model": .string(prepared.model.name),
            "content": .array(content), "stop_reason": end.reason, "stop_sequence": end.stopText, "usage": usage,
        ]
    }

    func whole() async throws -> APIResponse {
        var (blocks, finish) = (AnswerBlocks(), AnswerFinish.stop)
        _ = blocks.take(await run.beginning(ofChoice: 0))
        while case let updates = try await run.next(), !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: break
                case .finished(_, let reason): finish = reason
                case .delta(_, let delta): _ = blocks.take(delta.parts)
                }
            }
        }
        _ = blocks.close(isCut: finish == .length)
        let answer = await message(blocks.json, end(finish, blocks), usage())
        job.log(answer, of: prepared.model)
        return APIResponse(answer)
    }

    func stream() async throws -> APIResponse {
        let first = try await run.next()
        return .events { sink in
            do {
                try await stream(first, sink)
            } catch {
                await run.abandon()
                guard !(error is CancellationError) else { return }
                let body = Dialect.anthropic.body(ModelService.failure(error), requestID: job.id)
                try? await sink(ServerSentEvents.event("error", body))
            }
        }
    }

    private func stream(_ first: [AnswerRun.Update], _ sink: APIResponse.Sink) async throws {
        var (blocks, finish, updates) = (AnswerBlocks(), AnswerFinish.stop, first)
        try await sink(event("message_start", ["message": message([], (.null, .null), usage())]))
        try await sink(bytes(blocks.take(await run.beginning(ofChoice: 0))))
        while !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: try await sink(event("ping", [:]))
                case .finished(_, let reason): finish = reason
                case .delta(_, let delta): try await sink(bytes(blocks.take(delta.parts)))
                }
            }
            updates = try await run.next()
        }
        try await sink(bytes(blocks.close(isCut: finish == .length)))
        let (end, usage) = await (end(finish, blocks), usage())
        job.log(message(blocks.json, end, usage), of: prepared.model)
        let delta: JSON = ["stop_reason": end.reason, "stop_sequence": end.stopText]
        try await sink(event("message_delta", ["delta": delta, "usage": usage]))
        try await sink(event("message_stop", [:]))
    }

    private func event(_ name: String, _ fields: JSON) -> [UInt8] {
        var object = JSONObject()
        object["type"] = .string(name)
        for (key, value) in fields.objectValue?.members ?? [] { object[key] = value }
        return ServerSentEvents.event(name, .object(object))
    }

    private func bytes(_ events: [AnswerBlocks.Event]) -> [UInt8] {
        events.flatMap { ServerSentEvents.event($0.name, $0.fields) }
    }
}
