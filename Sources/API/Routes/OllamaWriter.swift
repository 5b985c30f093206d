import Martlet
import MartletGeneration
import MartletJSON
import MartletPlatform
import MartletTokenizers

/// Answers in Ollama's shape, whole or as lines.
struct OllamaWriter: Sendable {
    /// The form of the answer, by its route.
    enum Form { case chat, generate }
    let model: ServedModel
    let form: Form
    let job: Job
    /// Counts the prompt out when the answer has been written.
    var admission: Ending?
    /// The tokenizer, where probabilities are asked for.
    var scored: Tokenizer?

    private func line(
        _ text: String, thinking: String = "", calls: [JSON] = [], tokens: [SampledToken] = []
    ) -> JSONObject {
        var line = JSONObject()
        line["model"] = .string(model.name)
        line["created_at"] = .string(UnixTime.text())
        switch form {
        case .generate:
            line["response"] = .string(text)
            if !thinking.isEmpty { line["thinking"] = .string(thinking) }
        case .chat:
            var message = JSONObject()
            message["role"] = "assistant"
            message["content"] = .string(text)
            if !thinking.isEmpty { message["thinking"] = .string(thinking) }
            if !calls.isEmpty { message["tool_calls"] = .array(calls) }
            line["message"] = .object(message)
        }
        line["done"] = false
        if let scored, !tokens.isEmpty {
            line["logprobs"] = LogProbabilities.chat(tokens, scored, isWanted: true)["content"]
        }
        return line
    }

    func loaded() -> APIResponse {
        var line = line("")
        line["done"] = true
        line["done_reason"] = "load"
        return APIResponse(.object(line))
    }

    /// A call as Ollama's clients read it; nil for one whose arguments are no object, as of one that was cut.
    private func call(_ index: Int, of answer: CollectedAnswer) -> JSON? {
        guard answer.calls.indices.contains(index) else { return nil }
        let (_, name, arguments) = answer.calls[index]
        return AnswerBlocks.object(arguments).map { object in
            ["function": ["index": .integer(index), "name": .string(name), "arguments": .object(object)]]
        }
    }

    private func last(_ line: JSONObject, _ run: AnswerRun, _ finish: AnswerFinish) async -> JSONObject {
        func nanoseconds(_ duration: Duration) -> JSON { .integer(Int(duration.seconds * 1e9)) }
        var line = line
        let durations = await run.durations
        line["done"] = true
        line["done_reason"] = .string(finish == .length ? "length" : "stop")
        line["total_duration"] = nanoseconds(ContinuousClock.now - job.arrival)
        line["load_duration"] = 0
        line["prompt_eval_count"] = .integer(run.promptTokens)
        line["prompt_eval_duration"] = nanoseconds(durations.reading)
        line["eval_count"] = .integer(await run.generatedTokens)
        line["eval_duration"] = nanoseconds(durations.writing)
        return line
    }

    /// The whole answer as one object.
    private func whole(_ answer: CollectedAnswer, _ run: AnswerRun) async -> JSON {
        let line = line(
            answer.text, thinking: answer.thinking, calls: answer.ended.compactMap { call($0, of: answer) },
            tokens: answer.tokens)
        return .object(await last(line, run, answer.finish))
    }

    func answer(_ run: AnswerRun, streams: Bool) async throws -> APIResponse {
        guard streams else {
            let answer = try await CollectedAnswer.collect(run, choices: 1)[0]
            let whole = await whole(answer, run)
            job.log(whole, of: model)
            return APIResponse(whole)
        }
        let first = try await run.next()
        var response = APIResponse(
            type: "application/x-ndjson",
            .stream { sink in
                do {
                    try await stream(run, first, sink)
                } catch {
                    await run.abandon()
                    if !(error is CancellationError) {
                        try? await sink(bytes(["error": .string(ModelService.failure(error).message)]))
                    }
                }
                withExtendedLifetime(admission) {}
            })
        response.headers.append(("cache-control", "no-cache"))
        return response
    }

    /// A call goes out whole, when it has ended.
    private func stream(_ run: AnswerRun, _ first: [AnswerRun.Update], _ sink: APIResponse.Sink) async throws {
        var collected = await CollectedAnswer.begun(run, choices: 1)[0]
        var updates = first
        while !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: break
                case .finished(_, let reason):
                    collected.finish = reason
                    await job.log(whole(collected, run), of: model)
                    try await sink(bytes(.object(last(line(""), run, reason))))
                case .delta(_, let delta): try await sink(lines(delta, &collected))
                }
            }
            updates = try await run.next()
        }
    }

    /// The lines of a delta; probabilities stand with the first.
    private func lines(_ delta: AnswerDelta, _ collected: inout CollectedAnswer) -> [UInt8] {
        var (result, tokens): ([UInt8], [SampledToken]) = ([], delta.tokens)
        collected.tokens += tokens
        func add(_ text: String, thinking: String = "", calls: [JSON] = []) {
            result += bytes(.object(line(text, thinking: thinking, calls: calls, tokens: tokens)))
            tokens = []
        }
        for part in delta.parts {
            collected.add(part)
            switch part {
            case .text(let text): add(text)
            case .thinking(let text): add("", thinking: text)
            case .callEnd(let index): if let call = call(index, of: collected) { add("", calls: [call]) }
            case .call, .arguments: break
            }
        }
        if scored != nil, !tokens.isEmpty { add("") }
        return result
    }

    private func bytes(_ json: JSON) -> [UInt8] { json.serialized() + [UInt8(ascii: "\n")] }
}
