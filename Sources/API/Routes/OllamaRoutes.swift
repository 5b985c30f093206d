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
    private static let version = "0.12.11"

    static func version(_ job: Job) async throws -> APIResponse { APIResponse(["version": .string(version)]) }

    static func notServed(_ job: Job) async throws -> APIResponse {
        throw APIError(
            status: 501, .invalidRequest, "\(job.request.path) is not served: models are named when the server starts.",
            code: "not_implemented")
    }

    // MARK: Models

    static func tags(_ job: Job) async throws -> APIResponse {
        let models = job.service.registry.names.map { name, model -> JSON in
            model.map(entry) ?? [
                "name": .string(name), "model": .string(name), "size": 0, "digest": "", "details": [:],
            ]
        }
        return APIResponse(["models": .array(models)])
    }

    /// The models that are loaded.
    static func running(_ job: Job) async throws -> APIResponse {
        let models = job.service.models.map { model -> JSON in
            var entry = entry(model).objectValue ?? JSONObject()
            entry["size_vram"] = 0
            entry["context_length"] = model.context.map { .integer($0) } ?? .null
            return .object(entry)
        }
        return APIResponse(["models": .array(models)])
    }

    static func show(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let (name, old) = (try fields.string("model"), try fields.string("name"))
        let model = try await job.service.model(named: name ?? old)
        var information = JSONObject()
        information["general.architecture"] = .string(model.modelType)
        information["general.parameter_count"] = .integer(model.size.parameters)
        information["\(model.modelType).context_length"] = model.context.map { .integer($0) } ?? .null
        return APIResponse([
            "modified_at": .string(UnixTime.text(model.created)), "details": details(model),
            "model_info": .object(information),
            "capabilities": .array(capabilities(model).map { .string($0) }),
        ])
    }

    private static func capabilities(_ model: ServedModel) -> [String] {
        switch model.work {
        case .text:
            ["completion"] + (model.chat == nil ? [] : ["tools"]) + (model.chat?.thinks == true ? ["thinking"] : [])
        default: model.embedder == nil ? [] : ["embedding"]
        }
    }

    private static func details(_ model: ServedModel) -> JSON {
        [
            "format": .string(model.path.utf8.suffix(5).elementsEqual(".gguf".utf8) ? "gguf" : "safetensors"),
            "family": .string(model.modelType), "families": [.string(model.modelType)],
            "parameter_size": .string(size(model.size.parameters)), "quantization_level": .string(model.storedType),
        ]
    }

    /// A number of parameters as Ollama writes it: "134.52M", "8.0B".
    private static func size(_ parameters: Int) -> String {
        let (unit, letter) =
            parameters >= 1_000_000_000 ? (1e9, "B") : parameters >= 1_000_000 ? (1e6, "M") : (1e3, "K")
        let hundredths = Int((Double(parameters) / unit * 100).rounded())
        let rest = hundredths % 100
        let digits = rest % 10 == 0 ? "\(rest / 10)" : (rest < 10 ? "0" : "") + "\(rest)"
        return "\(hundredths / 100).\(digits)\(letter)"
    }

    private static func entry(_ model: ServedModel) -> JSON {
        [
            "name": .string(model.name), "model": .string(model.name),
            "modified_at": .string(UnixTime.text(model.created)),
            "size": .integer(model.size.bytes), "digest": .string(model.fingerprint), "details": details(model),
        ]
    }

    // MARK: Texts

    static func chat(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let streams = try fields.bool("stream") ?? true
        let messages = try OllamaRequest.messages(fields)
        // Without messages it is only asked that the model be loaded.
        guard !messages.isEmpty else { return OllamaWriter(model: model, form: .chat, job: job).loaded() }
        let request = try OllamaRequest(fields, messages: messages)
        return try await request.names.translatingErrors {
            try await answer(ChatPreparation(ChatRequest(request.fields, model), model, job), .chat, job, streams)
        }
    }

    private static func answer(
        _ prepared: ChatPreparation, _ form: OllamaWriter.Form, _ job: Job, _ streams: Bool
    ) async throws -> APIResponse {
        let isScored = prepared.request.generation.alternatives != nil
        let writer = OllamaWriter(
            model: prepared.model, form: form, job: job, admission: prepared.admission,
            scored: isScored ? prepared.tokenizer : nil)
        return try await writer.answer(prepared.run(job), streams: streams)
    }

    static func generate(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let prompt = try fields.string("prompt") ?? ""
        let (streams, isRaw) = (try fields.bool("stream") ?? true, try fields.bool("raw") ?? false)
        let system = try fields.string("system") ?? ""
        try OllamaRequest.refuse(["images", "suffix", "template", "context"], of: fields)
        // Without a prompt it is only asked that the model be loaded.
        guard !prompt.isEmpty else { return OllamaWriter(model: model, form: .generate, job: job).loaded() }
        if model.chat != nil, !isRaw {
            let first: [JSON] = system.isEmpty ? [] : [["role": "system", "content": .string(system)]]
            let request = try OllamaRequest(fields, messages: first + [["role": "user", "content": .string(prompt)]])
            return try await request.names.translatingErrors {
                try await answer(
                    ChatPreparation(ChatRequest(request.fields, model), model, job), .generate, job, streams)
            }
        }
        guard system.isEmpty else {
            throw APIError.unsupported(
                isRaw
                    ? "A raw prompt has no system message; write it into the prompt."
                    : "The model \(model.name.quoted) has no chat template for a system message; leave it out.",
                "system")
        }
        let request = try OllamaRequest(fields, messages: nil)
        return try await request.names.translatingErrors {
            try await continued(prompt, request.fields, model, job, streams)
        }
    }

    /// Goes on with a text as it is: the special tokens that it spells are what a template would write.
    private static func continued(
        _ prompt: String, _ fields: Fields, _ model: ServedModel, _ job: Job, _ streams: Bool
    ) async throws -> APIResponse {
        let (language, engine) = try model.text()
        var generation = try GenerationFields(fields, defaults: model.sampling, vocabulary: model.vocabularySize)
        try generation.takeProbabilities(fields)
        let constraint = try ForcedForm(AnswerFormat(fields))?.constraint(model)
        let tokens = try language.tokenizer.encode(prompt)
        try model.check(prompt: tokens, "prompt")
        let admission = try job.service.admit(promptTokens: tokens.count)
        let run = AnswerRun(
            model, language.tokenizer, engine, prompt: tokens, generation, .init(continued: tokens),
            constraint: constraint, job)
        let writer = OllamaWriter(
            model: model, form: .generate, job: job, admission: admission,
            scored: generation.alternatives == nil ? nil : language.tokenizer)
        return try await writer.answer(run, streams: streams)
    }

    static func embed(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields, madeFor: \.makesVectors)
        let isOld = job.request.path.utf8.elementsEqual("/api/embeddings".utf8)
        let name = isOld ? "prompt" : "input"
        guard let texts = try fields.strings(name, atMost: job.limits.textsPerRequest) else {
            throw fields.missing(name)
        }
        let dimensions = try fields.integer("dimensions", 1...max(1, model.architecture.width))
        try model.checkLengths(texts.map { ($0, nil) }, name, mayBeCut: fields.bool("truncate") ?? true)
        let (vectors, tokens) = try await Embedding.vectors(texts, model, job)
        let lists = vectors.map { vector in
            JSON.array((dimensions.map { Embedding.shortened(vector, to: $0) } ?? vector).map { .number(Double($0)) })
        }
        if isOld { return APIResponse(["embedding": lists.first ?? []]) }
        return APIResponse([
            "model": .string(model.name), "embeddings": .array(lists), "prompt_eval_count": .integer(tokens),
            "total_duration": .integer(Int((ContinuousClock.now - job.arrival).seconds * 1e9)), "load_duration": 0,
        ])
    }
}
