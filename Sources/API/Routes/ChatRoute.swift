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

/// A chat request that has been checked, with its prompt in tokens.
struct ChatPreparation: Sendable {
    let request: ChatRequest
    let model: ServedModel
    let tokenizer: Tokenizer
    let prompt: [Int32]
    let structure: AnswerAssembly.Structure
    private let constraint: (any TokenConstraint)?
    let admission: Ending
    private let engine: any TextEngine

    init(_ fields: Fields, _ model: ServedModel, _ job: Job) throws {
        try self.init(ChatRequest(fields, model), model, job)
    }

    init(_ request: ChatRequest, _ model: ServedModel, _ job: Job) throws {
        let (language, engine) = try model.text()
        (self.request, self.model, tokenizer, self.engine) = (request, model, language.tokenizer, engine)
        let chat = try model.neededChat()
        var text = try chat.prompt(request, tokenizer)
        var structure = AnswerAssembly.Structure()
        if request.toolChoice != .none { structure.tools = chat.tools }
        structure.callsOnce = !request.callsInParallel
        structure.thinks = chat.thinks
        structure.isThinking = chat.thinks && ChatPreparation.endsInThinking(text.text)
        let forced = ForcedForm(request, chat.tools)
        constraint = try forced?.constraint(model)
        if let forced {
            // What has a form is the answer: thinking that the prompt has opened is closed, as models know it.
            if structure.isThinking { text.text += text.text.utf8.last == 0x0A ? "\n</think>\n\n" : "\n\n</think>\n\n" }
            (structure.thinks, structure.isThinking) = (false, false)
            (structure.written, structure.end) = (forced.beginning, forced.end)
        }
        var tokens = try text.tokens(tokenizer)
        if !structure.written.isEmpty {
            tokens += try tokenizer.encode(structure.written, addSpecialTokens: false)
        }
        (prompt, self.structure) = (tokens, structure)
        try model.check(prompt: prompt, "messages")
        admission = try job.service.admit(promptTokens: prompt.count)
    }

    private static func endsInThinking(_ text: String) -> Bool {
        var bytes = Array(text.utf8.suffix(32))
        while let last = bytes.last, CallParser.isBlank(last) { bytes.removeLast() }
        return bytes.suffix(7).elementsEqual("<think>".utf8)
    }

    func run(_ job: Job) -> AnswerRun {
        AnswerRun(model, tokenizer, engine, prompt: prompt, request.generation, structure, constraint: constraint, job)
    }
}

extension ServedModel {
    /// - Throws: ``APIError`` for a model that was not made for conversations.
    func neededChat() throws(APIError) -> ConversationFormat {
        guard let chat else {
            throw .invalid(
                "The model \(name.quoted) has no chat template: it was not made for conversations; ask /v1/completions.",
                "model", code: "model_not_suited")
        }
        return chat
    }
}

/// The answer to a chat request in OpenAI's shape, whole or in chunks.
struct ChatWriter: Sendable {
    private let prepared: ChatPreparation
    private let run: AnswerRun
    private let job: Job
    private let id: String
    private let created = UnixTime.now
    private var fields: GenerationFields { prepared.request.generation }

    init(_ prepared: ChatPreparation, _ run: AnswerRun, _ job: Job) {
        (self.prepared, self.run, self.job) = (prepared, run, job)
        id = "chatcmpl-" + RequestIdentity.random()
    }

    private func envelope(_ object: String) -> JSONObject {
        var envelope = JSONObject()
        envelope["id"] = .string(id)
        envelope["object"] = .string(object)
        envelope["created"] = .integer(created)
        envelope["model"] = .string(prepared.model.name)
        envelope["system_fingerprint"] = .string(prepared.model.fingerprint)
        return envelope
    }

    // MARK: Whole

    func whole() async throws -> APIResponse {
        let answer = try await answer(CollectedAnswer.collect(run, choices: fields.choices))
        job.log(answer, of: prepared.model)
        return APIResponse(answer)
    }

    /// The whole answer of all choices.
    private func answer(_ messages: [CollectedAnswer]) async -> JSON {
        var answer = envelope("chat.completion")
        answer["choices"] = .array(
            messages.enumerated().map { index, message in
                [
                    "index": .integer(index), "message": message.json,
                    "logprobs": Probabilities.chat(
                        message.tokens, prepared.tokenizer, isWanted: fields.alternatives != nil),
                    "finish_reason": .string(message.finish),
                ]
            })
        answer["usage"] = await usage()
        return .object(answer)
    }

    private func usage() async -> JSON {
        Usage.json(
            prompt: run.promptTokens, cached: await run.cachedTokens, generated: await run.generatedTokens,
            guesses: await run.guessedTokens)
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
                try await sink(ServerEvents.done)
            } catch {
                await run.abandon()
                if !(error is CancellationError) {
                    try? await sink(ServerEvents.data(ModelService.failure(error).body))
                }
            }
        }
    }

    private func bytes(_ update: AnswerRun.Update) -> [UInt8] {
        switch update {
        case .ping: ServerEvents.ping
        case .finished(let choice, let reason): chunk(choice, [:], finish: .string(reason))
        case .delta(let choice, let delta): deltaBytes(choice, delta)
        }
    }

    /// A chunk for each part; log-probabilities stand with the first.
    private func deltaBytes(_ choice: Int, _ delta: AnswerDelta) -> [UInt8] {
        var tokens = delta.tokens
        var bytes: [UInt8] = []
        let parts = delta.parts.isEmpty && fields.alternatives != nil && !tokens.isEmpty ? [.text("")] : delta.parts
        for part in parts {
            let probabilities =
                fields.alternatives == nil ? nil : Probabilities.chat(tokens, prepared.tokenizer, isWanted: true)
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
        var envelope = envelope("chat.completion.chunk")
        envelope["choices"] = [
            [
                "index": .integer(choice), "delta": delta, "logprobs": probabilities ?? .null, "finish_reason": finish,
            ]
        ]
        if fields.includesUsage { envelope["usage"] = .null }
        return ServerEvents.data(.object(envelope))
    }

    private func usageChunk() async -> [UInt8] {
        var envelope = envelope("chat.completion.chunk")
        envelope["choices"] = []
        envelope["usage"] = await usage()
        return ServerEvents.data(.object(envelope))
    }
}

/// The parts of one answer put together.
struct CollectedAnswer {
    var text = ""
    var thinking = ""
    var calls: [(id: String, name: String, arguments: String)] = []
    var tokens: [SampledToken] = []
    var finish = "stop"

    mutating func add(_ part: AnswerPart) {
        switch part {
        case .text(let text): self.text += text
        case .thinking(let text): thinking += text
        case .call(_, let name): calls.append(("call_" + RequestIdentity.random(), name, ""))
        case .arguments(let index, let text): if calls.indices.contains(index) { calls[index].arguments += text }
        case .callEnd: break
        }
    }

    /// The answers of all choices, when they have ended.
    static func collect(_ run: AnswerRun, choices: Int) async throws -> [CollectedAnswer] {
        var answers = await begun(run, choices: choices)
        while case let updates = try await run.next(), !updates.isEmpty { take(updates, &answers) }
        return answers
    }

    /// The answers before the first token: with calls that the prompt began.
    static func begun(_ run: AnswerRun, choices: Int) async -> [CollectedAnswer] {
        var answers = (0..<choices).map { _ in CollectedAnswer() }
        for choice in answers.indices {
            for part in await run.beginning(ofChoice: choice) { answers[choice].add(part) }
        }
        return answers
    }

    static func take(_ updates: [AnswerRun.Update], _ answers: inout [CollectedAnswer]) {
        for update in updates {
            switch update {
            case .delta(let choice, let delta):
                for part in delta.parts { answers[choice].add(part) }
                answers[choice].tokens += delta.tokens
            case .finished(let choice, let reason): answers[choice].finish = reason
            case .ping: break
            }
        }
    }

    /// The `message` of a choice. With calls and no text, `content` is null, as OpenAI writes it.
    var json: JSON {
        var message = JSONObject()
        message["role"] = "assistant"
        message["content"] = text.isEmpty && !calls.isEmpty ? .null : .string(text)
        message["refusal"] = .null
        if !thinking.isEmpty { message["reasoning_content"] = .string(thinking) }
        if !calls.isEmpty {
            message["tool_calls"] = .array(
                calls.map { call in
                    [
                        "id": .string(call.id), "type": "function",
                        "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
                    ]
                })
        }
        return .object(message)
    }
}
