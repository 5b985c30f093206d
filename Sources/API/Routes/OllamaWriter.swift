import Martlet
import MartletGeneration
import MartletJSON
import MartletPlatform

/// Answers in Ollama's shape, whole or as lines.
struct OllamaWriter: Sendable {
    /// The form of the answer, by its route.
    enum Form { case chat, generate }
    let model: ServedModel
    let form: Form
    let job: Job
    /// Counts the prompt out when the answer has been written.
    var admission: Ending?

    private func line(_ text: String, thinking: String = "", calls: [JSON] = []) -> JSONObject {
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
        return line
    }

    func loaded() -> APIResponse {
        var line = line("")
        line["done"] = true
        line["done_reason"] = "load"
        return APIResponse(.object(line))
    }

    private func calls(_ answer: CollectedAnswer) -> [JSON] {
        answer.calls.map { call in
            let arguments = (try? JSON(parsing: call.arguments)) ?? .string(call.arguments)
            return ["function": ["name": .string(call.name), "arguments": arguments]]
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
        let line = line(answer.text, thinking: answer.thinking, calls: calls(answer))
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

    /// Calls go out whole, with the end.
    private func stream(_ run: AnswerRun, _ first: [AnswerRun.Update], _ sink: APIResponse.Sink) async throws {
        var collected = CollectedAnswer()
        var updates = first
        while !updates.isEmpty {
            for update in updates {
                switch update {
                case .ping: break
                case .finished(_, let reason):
                    collected.finish = reason
                    await job.log(whole(collected, run), of: model)
                    var end = line("", calls: calls(collected))
                    end = await last(end, run, reason)
                    try await sink(bytes(.object(end)))
                case .delta(_, let delta):
                    for part in delta.parts {
                        collected.add(part)
                        if case .text(let text) = part { try await sink(bytes(.object(line(text)))) }
                        if case .thinking(let text) = part { try await sink(bytes(.object(line("", thinking: text)))) }
                    }
                }
            }
            updates = try await run.next()
        }
    }

    private func bytes(_ json: JSON) -> [UInt8] { json.serialized() + [UInt8(ascii: "\n")] }
}
