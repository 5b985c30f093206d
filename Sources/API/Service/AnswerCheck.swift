import MartletGeneration
package import MartletJSON

/// A check of whether a logged answer is the one that a model gives: it is asked again, and compared byte for byte.
package struct AnswerCheck: Sendable {
    /// The verdict on a logged answer.
    package enum Verdict: Sendable, Equatable {
        /// The answer has the same bytes.
        case same
        /// The model is another one, or its arithmetic: their fingerprints.
        case otherModel(logged: String, here: String)
        /// The fingerprint is the same, the content is other: which choice, and both texts.
        case different(choice: Int, logged: String, here: String)
        /// The request had no seed and drew at random.
        case notRepeatable
    }

    private let service: ModelService

    /// - Parameter model: Answers instead of the one that the request names.
    package init(_ model: ServedModel) {
        service = ModelService(ServiceSettings())
        service.add(model)
    }

    /// - Parameter entry: `{"path": …, "system_fingerprint": …, "request": …, "response": …}`, as
    ///   `martlet serve --answer-log` writes it.
    /// - Throws: ``APIError`` for an entry that is no answer of this server.
    package func check(_ entry: JSON) async throws -> Verdict {
        guard var request = entry["request"]?.objectValue, let logged = entry["response"],
            let model = service.models.first
        else { throw APIError.invalid("The entry has no request and response, as --answer-log writes them.", nil) }
        let path =
            entry["path"]?.stringValue
            ?? (request["messages"] != nil ? "/v1/chat/completions" : "/v1/completions")
        let fingerprint = (entry["system_fingerprint"] ?? logged["system_fingerprint"])?.stringValue ?? ""
        guard fingerprint.hasSameBytes(as: model.fingerprint) else {
            return .otherModel(logged: fingerprint, here: model.fingerprint)
        }
        let settings = path.utf8.starts(with: "/api/".utf8) ? request["options"] : .object(request)
        let isGreedy = (settings?["temperature"]?.doubleValue ?? Double(model.sampling.temperature)) == 0
        guard isGreedy || settings?["seed"]?.integerValue != nil else { return .notRepeatable }
        request["model"] = nil
        request["stream"] = false
        let answer = await service.respond(
            to: APIRequest(
                method: "POST", path: path, headers: ["host": "localhost", "content-type": "application/json"],
                body: JSON.object(request).serialized()))
        guard case .whole(let bytes) = answer.body, answer.status == 200, let here = try? JSON(parsing: bytes) else {
            throw APIError.invalid("The request was not answered again: status \(answer.status).", nil)
        }
        return AnswerCheck.compared(logged, here)
    }

    private static func compared(_ logged: JSON, _ here: JSON) -> Verdict {
        let (a, b) = (texts(logged), texts(here))
        for index in 0..<max(a.count, b.count) {
            let texts = [a, b].map { index < $0.count ? $0[index] : "" }
            if !texts[0].hasSameBytes(as: texts[1]) {
                return .different(choice: index, logged: texts[0], here: texts[1])
            }
        }
        return .same
    }

    /// The content of an answer, choice by choice, without names and times that every answer has of its own.
    private static func texts(_ answer: JSON) -> [String] {
        if let choices = answer["choices"]?.arrayValue { return choices.map(text) }
        if let items = answer["output"]?.arrayValue {
            return items.map { item in
                var item = item.objectValue ?? JSONObject()
                (item["id"], item["call_id"]) = (nil, nil)
                return JSON.object(item).text()
            }
        }
        if let blocks = answer["content"]?.arrayValue {
            return blocks.map { block in
                var block = block.objectValue ?? JSONObject()
                block["id"] = nil
                return JSON.object(block).text()
            } + [answer["stop_reason"]?.text() ?? "null"]
        }
        let parts = ["message", "response", "thinking", "done_reason"]
        return [parts.map { answer[$0]?.text() ?? "null" }.joined(separator: "\n")]
    }

    /// The content of a choice, without the names that every answer has of its own.
    private static func text(_ choice: JSON) -> String {
        let message = choice["message"]
        let calls = (message?["tool_calls"]?.arrayValue ?? []).map { $0["function"]?.text() ?? "" }.joined()
        let parts = [
            choice["text"], message?["content"], message?["reasoning_content"], choice["finish_reason"],
            choice["logprobs"],
        ]
        return parts.map { $0?.text() ?? "null" }.joined(separator: "\n") + calls
    }
}
