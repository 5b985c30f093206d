import Martlet
import MartletJSON
import MartletTokenizers

/// `POST /v1/completions`: texts, or tokens, continued as they are.
enum CompletionRoute {
    private static let names: Set<String> = GenerationFields.names.union([
        "model", "prompt", "suffix", "logprobs", "echo", "best_of", "user", "parse_special", "response_format",
        "add_special_tokens",
    ])

    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let (language, engine) = try model.text()
        var generation = try GenerationFields(fields, defaults: model.sampling, vocabulary: model.vocabularySize)
        if generation.maximumTokens == nil { generation.maximumTokens = 16 }
        generation.alternatives = try fields.integer("logprobs", 0...20)
        if fields["suffix"] != nil { throw APIError.unsupported("suffix is not served here; leave it out.", "suffix") }
        if let best = try fields.integer("best_of", 1...8), best != generation.choices {
            throw APIError.unsupported("best_of is served only where it equals n.", "best_of")
        }
        let prompts = try prompts(fields, language.tokenizer)
        for (index, prompt) in prompts.enumerated() {
            try model.check(prompt: prompt.tokens, prompts.count > 1 ? "prompt[\(index)]" : "prompt")
        }
        job.note(unknown: fields.unknown(beside: names))
        let admission = try job.service.admit(promptTokens: prompts.reduce(0) { $0 + $1.tokens.count })
        let runs = prompts.map { prompt in
            AnswerRun(model, language.tokenizer, engine, prompt: prompt.tokens, generation, .init(), job)
        }
        let writer = CompletionWriter(
            model: model, tokenizer: language.tokenizer, prompts: prompts, runs: runs, fields: generation,
            echoes: try fields.bool("echo") ?? false, admission: admission, job: job, body: fields.object)
        return generation.streams ? try await writer.stream() : try await writer.whole()
    }

    struct Prompt: Sendable {
        let text: String
        let tokens: [Int32]
    }

    /// `prompt`: a text, a list of texts, a list of token ids, or a list of such lists.
    private static func prompts(_ fields: Fields, _ tokenizer: Tokenizer) throws -> [Prompt] {
        guard let value = fields["prompt"] else { throw fields.missing("prompt") }
        let parses = try fields.bool("parse_special") ?? false
        func text(_ text: String) throws -> Prompt {
            Prompt(text: text, tokens: try tokenizer.encode(text, parseSpecialTokens: parses))
        }
        func tokens(_ ids: [Int32]) throws -> Prompt { Prompt(text: try tokenizer.decode(ids), tokens: ids) }
        if let given = value.stringValue { return [try text(given)] }
        guard let elements = try fields.array("prompt", atMost: 1 << 20), !elements.isEmpty else {
            throw APIError.invalid("prompt is empty.", "prompt")
        }
        if let ids = ids(elements) { return [try tokens(ids)] }
        guard elements.count <= 128 else {
            throw APIError.invalid("prompt has \(elements.count) texts, but at most 128 are taken.", "prompt")
        }
        return try elements.enumerated().map { index, element in
            if let given = element.stringValue { return try text(given) }
            if let ids = element.arrayValue.flatMap(ids) { return try tokens(ids) }
            throw APIError.invalid(
                "prompt[\(index)] is \(element.kind), but a string or an array of token ids is expected.",
                "prompt[\(index)]", code: "invalid_type")
        }
    }

    static func ids(_ elements: [JSON]) -> [Int32]? {
        let ids = elements.compactMap { $0.integerValue.flatMap { Int32(exactly: $0) } }
        return ids.count == elements.count ? ids : nil
    }
}

/// The answers to a completion request, whole or in chunks; choice i of prompt p has the index p · n + i.
private struct CompletionWriter: Sendable {
    let model: ServedModel
    let tokenizer: Tokenizer
    let prompts: [CompletionRoute.Prompt]
    let runs: [AnswerRun]
    let fields: GenerationFields
    let echoes: Bool
    let admission: Ending
    let job: Job
    let body: JSONObject
    let id = "cmpl-" + RequestIdentity.random()
    let created = UnixTime.now

    private func envelope() -> JSONObject {
        var envelope = JSONObject()
        envelope["id"] = .string(id)
        envelope["object"] = "text_completion"
        envelope["created"] = .integer(created)
        envelope["model"] = .string(model.name)
        envelope["system_fingerprint"] = .string(model.fingerprint)
        return envelope
    }

    private func choice(_ index: Int, _ text: String, _ probabilities: JSON, _ finish: JSON) -> JSON {
        ["index": .integer(index), "text": .string(text), "logprobs": probabilities, "finish_reason": finish]
    }

    func whole() async throws -> APIResponse {
        var choices: [JSON] = []
        for (prompt, run) in runs.enumerated() {
            let answers = try await CollectedAnswer.collect(run, choices: fields.choices)
            for (index, answer) in answers.enumerated() {
                var offset = echoes ? prompts[prompt].text.unicodeScalars.count : 0
                let probabilities = Probabilities.completion(
                    answer.tokens, tokenizer, from: &offset, isWanted: fields.alternatives != nil)
                choices.append(
                    choice(
                        prompt * fields.choices + index, (echoes ? prompts[prompt].text : "") + answer.text,
                        probabilities, .string(answer.finish)))
            }
        }
        var answer = envelope()
        answer["choices"] = .array(choices)
        answer["usage"] = await usage()
        withExtendedLifetime(admission) {}
        job.service.settings.answerLog?(["request": .object(body), "response": .object(answer)])
        return APIResponse(.object(answer))
    }

    private func usage() async -> JSON {
        var (prompt, cached, generated, guesses) = (0, 0, 0, GuessCounts())
        for run in runs {
            prompt += run.promptTokens
            cached += await run.cachedTokens
            generated += await run.generatedTokens
            guesses = guesses + (await run.guessedTokens)
        }
        return Usage.json(prompt: prompt, cached: cached, generated: generated, guesses: guesses)
    }

    /// One prompt after the other; the engine runs them together.
    func stream() async throws -> APIResponse {
        let first = try await runs[0].next()
        return .events { sink in
            do {
                for (prompt, run) in runs.enumerated() {
                    try await stream(prompt, run, first: prompt == 0 ? first : nil, sink)
                }
                if fields.includesUsage {
                    var chunk = envelope()
                    chunk["choices"] = []
                    chunk["usage"] = await usage()
                    try await sink(ServerEvents.data(.object(chunk)))
                }
                try await sink(ServerEvents.done)
            } catch {
                for run in runs { await run.abandon() }
                if !(error is CancellationError) {
                    try? await sink(ServerEvents.data(ModelService.failure(error).body))
                }
            }
            withExtendedLifetime(admission) {}
        }
    }

    private func stream(
        _ prompt: Int, _ run: AnswerRun, first: [AnswerRun.Update]?, _ sink: APIResponse.Sink
    ) async throws {
        var offsets = Array(repeating: 0, count: fields.choices)
        if echoes {
            for index in 0..<fields.choices {
                offsets[index] = prompts[prompt].text.unicodeScalars.count
                try await sink(chunk(prompt, index, prompts[prompt].text, .null, .null))
            }
        }
        var updates = if let first { first } else { try await run.next() }
        while !updates.isEmpty {
            var bytes: [UInt8] = []
            for update in updates {
                switch update {
                case .ping: bytes += ServerEvents.ping
                case .finished(let index, let reason): bytes += chunk(prompt, index, "", .null, .string(reason))
                case .delta(let index, let delta):
                    let probabilities = Probabilities.completion(
                        delta.tokens, tokenizer, from: &offsets[index], isWanted: fields.alternatives != nil)
                    bytes += chunk(prompt, index, CompletionWriter.text(delta.parts), probabilities, .null)
                }
            }
            try await sink(bytes)
            updates = try await run.next()
        }
    }

    private static func text(_ parts: [AnswerPart]) -> String {
        parts.reduce(into: "") { text, part in if case .text(let piece) = part { text += piece } }
    }

    private func chunk(_ prompt: Int, _ index: Int, _ text: String, _ probabilities: JSON, _ finish: JSON) -> [UInt8] {
        var chunk = envelope()
        chunk["choices"] = [choice(prompt * fields.choices + index, text, probabilities, finish)]
        if fields.includesUsage { chunk["usage"] = .null }
        return ServerEvents.data(.object(chunk))
    }
}
