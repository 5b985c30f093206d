import Martlet
import MartletJSON
import MartletTokenizers

/// `POST /v1/completions`: texts, or tokens, continued as they are.
enum CompletionRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let (language, engine) = try model.text()
        var generation = try GenerationFields(fields, defaults: model.sampling, vocabulary: model.vocabularySize)
        if generation.maximumTokens == nil { generation.maximumTokens = 16 }
        generation.alternatives = try fields.integer("logprobs", 0...20)
        try OllamaRequest.refuse(["suffix"], of: fields)
        if let best = try fields.integer("best_of", 1...128), best != generation.choices {
            throw APIError.unsupported("best_of is served only where it equals n.", "best_of")
        }
        let prompts = try prompts(fields, language.tokenizer)
        try check(prompts.count, generation.choices)
        for (index, prompt) in prompts.enumerated() {
            try model.check(prompt: prompt.tokens, prompts.count > 1 ? "prompt[\(index)]" : "prompt")
        }
        let constraint = try ForcedForm(AnswerFormat(fields))?.constraint(model)
        let echoes = try fields.bool("echo") ?? false
        let admission = try job.service.admit(promptTokens: prompts.reduce(0) { $0 + $1.tokens.count })
        var scores: [[SampledToken]] = []
        if echoes, let alternatives = generation.alternatives {
            for prompt in prompts {
                try job.request.cancellation.check()
                scores.append(try await model.scores(ofPrompt: prompt.tokens, alternatives: alternatives))
            }
        }
        let runs = prompts.map { prompt in
            AnswerRun(
                model, language.tokenizer, engine, prompt: prompt.tokens, generation,
                .init(continued: prompt.tokens), constraint: constraint, job)
        }
        let writer = CompletionWriter(
            model: model, tokenizer: language.tokenizer, prompts: prompts, scores: scores, runs: runs,
            fields: generation, echoes: echoes, admission: admission, job: job,
            envelope: AnswerEnvelope("cmpl-", model))
        return generation.streams ? try await writer.stream() : try await writer.whole()
    }

    /// A prompt, as text and as tokens.
    struct Prompt: Sendable {
        let text: String
        let tokens: [Int32]
    }

    /// The most texts that one request may ask for: all choices of all its prompts.
    private static let mostTexts = 256

    /// Refuses more texts than one request may ask for: every one of them is work, but they count as one in the queue.
    private static func check(_ prompts: Int, _ choices: Int) throws(APIError) {
        guard prompts * choices > mostTexts else { return }
        throw .invalid(
            "n is \(choices), which makes \(prompts * choices) texts of \(prompts) prompts, but at most \(mostTexts) "
                + "are written for a request.", "n", code: "invalid_value")
    }

    /// `prompt`: a text, a list of texts, a list of token ids, or a list of such lists.
    ///
    /// Special tokens that a text spells are special tokens: who asks here writes what a template would.
    private static func prompts(_ fields: Fields, _ tokenizer: Tokenizer) throws -> [Prompt] {
        guard let value = fields["prompt"] else { throw fields.missing("prompt") }
        let parses = try fields.bool("parse_special") ?? true
        let adds = try fields.bool("add_special_tokens") ?? true
        func text(_ text: String) throws -> Prompt {
            Prompt(
                text: text,
                tokens: try tokenizer.encode(text, addSpecialTokens: adds, parseSpecialTokens: parses))
        }
        // Ids that there are not are told of with all others that are wrong.
        func tokens(_ ids: [Int32]) -> Prompt { Prompt(text: (try? tokenizer.decode(ids)) ?? "", tokens: ids) }
        if let given = value.stringValue { return [try text(given)] }
        guard value.arrayValue != nil else { throw fields.wrong("prompt", value, "a string or an array") }
        guard let elements = try fields.array("prompt", atMost: 1 << 20), !elements.isEmpty else {
            throw APIError.invalid("prompt is empty.", "prompt")
        }
        if let ids = ids(elements) { return [tokens(ids)] }
        guard elements.count <= 128 else {
            throw APIError.invalid("prompt has \(elements.count) texts, but at most 128 are taken.", "prompt")
        }
        return try elements.enumerated().map { index, element in
            if let given = element.stringValue { return try text(given) }
            if let ids = element.arrayValue.flatMap(ids) { return tokens(ids) }
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
    /// The tokens of each prompt with their probabilities; none where they are not asked for.
    let scores: [[SampledToken]]
    let runs: [AnswerRun]
    let fields: GenerationFields
    let echoes: Bool
    let admission: Ending
    let job: Job
    let envelope: AnswerEnvelope

    private func object() -> JSONObject { envelope.object("text_completion") }

    private func choice(_ index: Int, _ text: String, _ probabilities: JSON, _ finish: JSON) -> JSON {
        ["index": .integer(index), "text": .string(text), "logprobs": probabilities, "finish_reason": finish]
    }

    func whole() async throws -> APIResponse {
        var answers: [[CollectedAnswer]] = []
        for run in runs { answers.append(try await CollectedAnswer.collect(run, choices: fields.choices)) }
        withExtendedLifetime(admission) {}
        let answer = await answer(answers)
        job.log(answer, of: model)
        return APIResponse(answer)
    }

    /// The whole answer: the choices of every prompt.
    private func answer(_ answers: [[CollectedAnswer]]) async -> JSON {
        var choices: [JSON] = []
        for (prompt, answers) in answers.enumerated() {
            for (index, answer) in answers.enumerated() {
                var probabilities = LogProbabilities.Lists()
                if echoes { echo(prompt, into: &probabilities) }
                probabilities.add(answer.tokens, tokenizer)
                choices.append(
                    choice(
                        prompt * fields.choices + index, (echoes ? prompts[prompt].text : "") + answer.text,
                        json(probabilities), .string(answer.finish.rawValue)))
            }
        }
        var answer = object()
        answer["choices"] = .array(choices)
        answer["usage"] = await usage()
        return .object(answer)
    }

    /// The probabilities of a prompt, and where its text ends.
    private func echo(_ prompt: Int, into probabilities: inout LogProbabilities.Lists) {
        if scores.indices.contains(prompt) { probabilities.add(prompt: scores[prompt], tokenizer) }
        probabilities.offset = prompts[prompt].text.unicodeScalars.count
    }

    private func json(_ probabilities: LogProbabilities.Lists) -> JSON {
        fields.alternatives == nil ? .null : probabilities.json
    }

    private func usage() async -> JSON {
        var (prompt, cached, generated, guesses) = (0, 0, 0, GuessCounts())
        for run in runs {
            prompt += run.promptTokens
            cached += await run.cachedTokens
            generated += await run.generatedTokens
            guesses = guesses + (await run.guessedTokens)
        }
        return TokenUsage.json(prompt: prompt, cached: cached, generated: generated, guesses: guesses)
    }

    /// Streams one prompt after the other; the engine runs them together.
    func stream() async throws -> APIResponse {
        let first = try await runs[0].next()
        return .events { sink in
            do {
                var answers: [[CollectedAnswer]] = []
                for (prompt, run) in runs.enumerated() {
                    answers.append(try await stream(prompt, run, first: prompt == 0 ? first : nil, sink))
                }
                await job.log(answer(answers), of: model)
                if fields.includesUsage {
                    var chunk = object()
                    chunk["choices"] = []
                    chunk["usage"] = await usage()
                    try await sink(ServerSentEvents.data(.object(chunk)))
                }
                try await sink(ServerSentEvents.done)
            } catch {
                for run in runs { await run.abandon() }
                if !(error is CancellationError) {
                    try? await sink(ServerSentEvents.data(ModelService.failure(error).body))
                }
            }
            withExtendedLifetime(admission) {}
        }
    }

    private func stream(
        _ prompt: Int, _ run: AnswerRun, first: [AnswerRun.Update]?, _ sink: APIResponse.Sink
    ) async throws -> [CollectedAnswer] {
        var answers = await CollectedAnswer.begun(run, choices: fields.choices)
        var offsets = Array(repeating: 0, count: fields.choices)
        if echoes {
            for index in 0..<fields.choices {
                var probabilities = LogProbabilities.Lists()
                echo(prompt, into: &probabilities)
                offsets[index] = probabilities.offset
                try await sink(
                    chunk(
                        prompt, index, prompts[prompt].text, scores.isEmpty ? .null : json(probabilities), .null))
            }
        }
        var updates = if let first { first } else { try await run.next() }
        while !updates.isEmpty {
            CollectedAnswer.take(updates, &answers)
            var bytes: [UInt8] = []
            for update in updates {
                switch update {
                case .ping: bytes += ServerSentEvents.ping
                case .finished(let index, let reason):
                    bytes += chunk(prompt, index, "", .null, .string(reason.rawValue))
                case .delta(let index, let delta):
                    var probabilities = LogProbabilities.Lists(from: offsets[index])
                    probabilities.add(delta.tokens, tokenizer)
                    offsets[index] = probabilities.offset
                    bytes += chunk(prompt, index, CompletionWriter.text(delta.parts), json(probabilities), .null)
                }
            }
            try await sink(bytes)
            updates = try await run.next()
        }
        return answers
    }

    private static func text(_ parts: [AnswerPart]) -> String {
        parts.reduce(into: "") { text, part in if case .text(let piece) = part { text += piece } }
    }

    private func chunk(_ prompt: Int, _ index: Int, _ text: String, _ probabilities: JSON, _ finish: JSON) -> [UInt8] {
        var chunk = object()
        chunk["choices"] = [choice(prompt * fields.choices + index, text, probabilities, finish)]
        if fields.includesUsage { chunk["usage"] = .null }
        return ServerSentEvents.data(.object(chunk))
    }
}
