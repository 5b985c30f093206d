import Martlet
import MartletGeneration
import MartletJSON

/// The parts of one answer put together.
struct CollectedAnswer {
    var text = ""
    var thinking = ""
    var calls: [(id: String, name: String, arguments: String)] = []
    var tokens: [SampledToken] = []
    /// The calls that have ended, by their indices; one that was cut has not.
    private(set) var ended: [Int] = []
    var finish = AnswerFinish.stop

    mutating func add(_ part: AnswerPart) {
        switch part {
        case .text(let text): self.text += text
        case .thinking(let text): thinking += text
        case .call(_, let name): calls.append(("call_" + RequestIdentity.random(), name, ""))
        case .arguments(let index, let text): if calls.indices.contains(index) { calls[index].arguments += text }
        case .callEnd(let index): ended.append(index)
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
