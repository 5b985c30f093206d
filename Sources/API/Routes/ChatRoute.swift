import Martlet
import MartletGeneration
import MartletJSON
import MartletTokenizers

/// `POST /v1/chat/completions`.
enum ChatRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let prepared = try ChatPreparation(fields, model, job)
        let writer = ChatWriter(prepared, prepared.run(job), job)
        return prepared.request.generation.streams ? try await writer.stream() : try await writer.whole()
    }
}

/// The answer to a chat request in OpenAI's shape, whole or in chunks.
struct ChatWriter: Sendable {
    private let prepared: ChatPreparation
    private let run: AnswerRun
    private let job: Job
    private let envelope: AnswerEnvelope
    private var fields: GenerationFields { prepared.request.generation }

    init(_ prepared: ChatPreparation, _ run: AnswerRun, _ job: Job) {
        (self.prepared, self.run, self.job) = (prepared, run, job)
        envelope = AnswerEnvelope("chatcmpl-", prepared.model)
    }

    // MARK: Whole

    func whole() async throws -> APIResponse {
        let answer = try await answer(CollectedAnswer.collect(run, choices: fields.choices))
        job.log(answer, of: prepared.model)
        return APIResponse(answer)
    }

    /// The whole answer of all choices.
    private func answer(_ messages: [CollectedAnswer]) async -> JSON {
        var answer = envelope.object("chat.completion")
        answer["choices"] = .array(
            messages.enumerated().map { index, message in
                [
                    "index": .integer(index), "message": message.json,
                    "logprobs": LogProbabilities.chat(
                        message.tokens, prepared.tokenizer, isWanted: fields.alternatives != nil),
                    "finish_reason": .string(message.finish.rawValue),
                ]
            })
        answer["usage"] = await usage()
        return .object(answer)
    }

    private func usage() async -> JSON {
        TokenUsage.json(
            prompt: run.promptTokens, cached: await run.cachedTokens, generated: await run.generatedTokens,
            thinking: await run.thinkingTokens, guesses: await run.guessedTokens)
    }

    // MARK: Stream

    /// The status is decided by the first that happens: an error is still one.
    func stream() async throws -> APIResponse {
        let first = try await run.next()
        return .events { sink in
            do {
                for choice in 0..<fields.choices {
                    try await sink(chunk(choice, ["role": "assistant", "content": ""]))
                    for part in await run.beginning(ofChoice: choice) { try await sink(chunk(choice, delta(part))) }
                }
                var collected = await CollectedAnswer.begun(run, choices: fields.choices)
                var updates = first
                while !updates.isEmpty {
                    CollectedAnswer.take(updates, &collected)
                    try await sink(updates.flatMap { bytes($0) })
                    updates = try await run.next()
                }
                await job.log(answer(collected), of: prepared.model)
                if fields.includesUsage { try await sink(usageChunk()) }
                try await sink(ServerSentEvents.done)
            } catch {
                await run.abandon()
                if !(error is CancellationError) {
                    try? await sink(ServerSentEvents.data(ModelService.failure(error).body))
                }
            }
        }
    }

    private func bytes(_ update: AnswerRun.Update) -> [UInt8] {
        switch update {
        case .ping: ServerSentEvents.ping
        case .finished(let choice, let reason): chunk(choice, [:], finish: .string(reason.rawValue))
        case .delta(let choice, let delta): deltaBytes(choice, delta)
        }
    }

    /// A chunk for each part; log-probabilities stand with the first.
    private func deltaBytes(_ choice: Int, _ delta: AnswerDelta) -> [UInt8] {
        var tokens = delta.tokens
        var bytes: [UInt8] = []
        // The end of a call has no chunk of its own.
        var parts = delta.parts.filter { if case .callEnd = $0 { false } else { true } }
        if parts.isEmpty, fields.alternatives != nil, !tokens.isEmpty { parts = [.text("")] }
        for part in parts {
            let probabilities =
                fields.alternatives == nil ? nil : LogProbabilities.chat(tokens, prepared.tokenizer, isWanted: true)
            bytes += chunk(choice, self.delta(part), probabilities: probabilities)
            tokens = []
        }
        return bytes
    }

    private func delta(_ part: AnswerPart) -> JSON {
        switch part {
        case .text(let text): ["content": .string(text)]
        case .thinking(let text): ["reasoning_content": .string(text)]
        case .call(let index, let name):
            [
                "tool_calls": [
                    [
                        "index": .integer(index), "id": .string("call_" + RequestIdentity.random()),
                        "type": "function", "function": ["name": .string(name), "arguments": ""],
                    ]
                ]
            ]
        case .arguments(let index, let text):
            ["tool_calls": [["index": .integer(index), "function": ["arguments": .string(text)]]]]
        case .callEnd: [:]
        }
    }

    private func chunk(_ choice: Int, _ delta: JSON, finish: JSON = .null, probabilities: JSON? = nil) -> [UInt8] {
        if finish.isNull && delta.objectValue?.isEmpty == true { return [] }
        var object = envelope.object("chat.completion.chunk")
        object["choices"] = [
            [
                "index": .integer(choice), "delta": delta, "logprobs": probabilities ?? .null, "finish_reason": finish,
            ]
        ]
        if fields.includesUsage { object["usage"] = .null }
        return ServerSentEvents.data(.object(object))
    }

    private func usageChunk() async -> [UInt8] {
        var object = envelope.object("chat.completion.chunk")
        object["choices"] = []
        object["usage"] = await usage()
        return ServerSentEvents.data(.object(object))
    }
}
