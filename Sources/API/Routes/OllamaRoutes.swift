import Martlet
import MartletGeneration
import MartletJSON
import MartletPlatform
import MartletTokenizers

/// Ollama's dialect: `/api/chat`, `/api/generate`, `/api/embed`, `/api/tags`, `/api/show`, `/api/ps`, `/api/version`.
///
/// Answers are streamed as lines of JSON unless `stream` is false. What changes the store of models is not served.
enum Ollama {
    /// The version of Ollama whose answers these are like.
    private static let version = "0.6.0"

    static func version(_ job: Job) async throws -> APIResponse { APIResponse(["version": .string(version)]) }

    static func notServed(_ job: Job) async throws -> APIResponse {
        throw APIError(
            status: 501, .invalidRequest, "\(job.request.path) is not served: models are named when the server starts.",
            code: "not_implemented")
    }

    static func answer(_ error: APIError) -> APIResponse {
        var response = APIResponse(error)
        response.body = .whole((["error": .string(error.message)] as JSON).serialized())
        return response
    }

    // MARK: Models

    static func tags(_ job: Job) async throws -> APIResponse {
        let models = job.service.shelf.names.map { name, model -> JSON in
            model.map(entry) ?? [
                "name": .string(name), "model": .string(name), "size": 0, "digest": "", "details": [:],
            ]
        }
        return APIResponse(["models": .array(models)])
    }

    /// The models that are loaded.
    static func running(_ job: Job) async throws -> APIResponse {
        APIResponse(["models": .array(job.service.models.map(entry))])
    }

    static func show(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(named: fields.string("model") ?? fields.string("name"))
        var information = JSONObject()
        information["general.architecture"] = .string(model.modelType)
        information["general.parameter_count"] = .integer(model.size.parameters)
        information["\(model.modelType).context_length"] = model.context.map { .integer($0) } ?? .null
        return APIResponse([
            "details": details(model), "model_info": .object(information),
            "capabilities": .array(capabilities(model).map { .string($0) }),
        ])
    }

    private static func capabilities(_ model: ServedModel) -> [String] {
        switch model.work {
        case .text: ["completion"] + (model.chat == nil ? [] : ["tools"])
        default: model.embedder == nil ? [] : ["embedding"]
        }
    }

    private static func details(_ model: ServedModel) -> JSON {
        [
            "format": .string(model.path.utf8.suffix(5).elementsEqual(".gguf".utf8) ? "gguf" : "safetensors"),
            "family": .string(model.modelType), "families": [.string(model.modelType)],
            "parameter_size": .string("\(model.size.parameters / 1_000_000)M"), "quantization_level": "unknown",
        ]
    }

    private static func entry(_ model: ServedModel) -> JSON {
        [
            "name": .string(model.name), "model": .string(model.name), "modified_at": .string(UnixTime.text()),
            "size": .integer(model.size.bytes), "digest": .string(model.fingerprint), "details": details(model),
        ]
    }

    // MARK: Texts

    static func chat(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let request = try ChatRequest(translated(fields, messages: fields.object["messages"]), model)
        let prepared = try ChatPreparation(request, model, job)
        let writer = OllamaWriter(model: model, form: .chat, job: job)
        return try await writer.answer(prepared.run(job), streams: fields.bool("stream") ?? true)
    }

    static func generate(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let prompt = try fields.string("prompt") ?? ""
        let streams = try fields.bool("stream") ?? true
        let writer = OllamaWriter(model: model, form: .generate, job: job)
        // Without a prompt it is only asked that the model be loaded.
        guard !prompt.isEmpty else { return writer.loaded() }
        if model.chat != nil, try !(fields.bool("raw") ?? false) {
            let system = try fields.string("system").map { [["role": "system", "content": .string($0)] as JSON] } ?? []
            let messages = JSON.array(system + [["role": "user", "content": .string(prompt)]])
            let prepared = try ChatPreparation(ChatRequest(translated(fields, messages: messages), model), model, job)
            return try await writer.answer(prepared.run(job), streams: streams)
        }
        let (language, engine) = try model.text()
        let settings = try translated(fields, messages: nil)
        let generation = try GenerationFields(settings, defaults: model.sampling, vocabulary: model.vocabularySize)
        let tokens = try language.tokenizer.encode(prompt, parseSpecialTokens: false)
        try model.check(prompt: tokens, "prompt")
        let run = AnswerRun(model, language.tokenizer, engine, prompt: tokens, generation, .init(), job)
        return try await writer.answer(run, streams: streams)
    }

    /// Ollama's fields in OpenAI's words.
    private static func translated(_ fields: Fields, messages: JSON?) throws -> Fields {
        var object = JSONObject()
        object["messages"] = messages.map(translated)
        for name in ["tools"] { object[name] = fields.object[name] }
        if let format = fields["format"] {
            if format == "json" {
                object["response_format"] = ["type": "json_object"]
            } else if format.objectValue != nil {
                object["response_format"] = [
                    "type": "json_schema", "json_schema": ["name": "answer", "schema": format],
                ]
            }
        }
        if let thinks = try fields.bool("think") { object["chat_template_kwargs"] = ["enable_thinking": .bool(thinks)] }
        let options = try fields.object("options")?.object ?? JSONObject()
        let names = [
            "num_predict": "max_tokens", "temperature": "temperature", "top_k": "top_k", "top_p": "top_p",
            "min_p": "min_p", "seed": "seed", "stop": "stop", "repeat_penalty": "repeat_penalty",
            "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
        ]
        for (name, value) in options.members {
            guard let own = names[name] else { continue }
            // -1 is as many as fit.
            if name == "num_predict", let count = value.integerValue, count < 0 { continue }
            object[own] = value
        }
        return Fields(object, prefix: "options.")
    }

    /// Messages whose calls have arguments as objects, and results without the id of their call.
    private static func translated(_ messages: JSON) -> JSON {
        .array(
            (messages.arrayValue ?? []).map { message in
                guard var object = message.objectValue else { return message }
                if object["content"] == nil { object["content"] = "" }
                return .object(object)
            })
    }

    static func embed(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let isOld = job.request.path.utf8.elementsEqual("/api/embeddings".utf8)
        let given = try fields.strings(isOld ? "prompt" : "input", atMost: job.limits.textsPerRequest)
        guard let texts = given else { throw fields.missing(isOld ? "prompt" : "input") }
        let (vectors, tokens) = try await Embedding.vectors(texts, model, job)
        let lists = vectors.map { JSON.array($0.map { .number(Double($0)) }) }
        if isOld { return APIResponse(["embedding": lists.first ?? []]) }
        return APIResponse([
            "model": .string(model.name), "embeddings": .array(lists), "prompt_eval_count": .integer(tokens),
        ])
    }
}

/// Answers in Ollama's shape, whole or as lines.
private struct OllamaWriter: Sendable {
    enum Form { case chat, generate }
    let model: ServedModel
    let form: Form
    let job: Job

    private func line(_ text: String, thinking: String = "", calls: [JSON] = []) -> JSONObject {
        var line = JSONObject()
        line["model"] = .string(model.name)
        line["created_at"] = .string(UnixTime.text())
        switch form {
        case .generate: line["response"] = .string(text)
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

    private func last(_ line: JSONObject, _ run: AnswerRun, _ finish: String) async -> JSONObject {
        var line = line
        let nanoseconds = Int((ContinuousClock.now - job.arrival).seconds * 1e9)
        line["done"] = true
        line["done_reason"] = .string(finish == "length" ? "length" : "stop")
        line["total_duration"] = .integer(nanoseconds)
        line["load_duration"] = 0
        line["prompt_eval_count"] = .integer(run.promptTokens)
        line["eval_count"] = .integer(await run.generatedTokens)
        line["eval_duration"] = .integer(nanoseconds)
        return line
    }

    func answer(_ run: AnswerRun, streams: Bool) async throws -> APIResponse {
        guard streams else {
            let answer = try await CollectedAnswer.collect(run, choices: 1)[0]
            let line = line(answer.text, thinking: answer.thinking, calls: calls(answer))
            return APIResponse(.object(await last(line, run, answer.finish)))
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
