import MartletJSON
import MartletLayers

/// `/v1/models`: which models there are, as OpenAI and Anthropic say it, with llama.cpp's `meta` and `status`; loading
/// and unloading them.
enum ModelRoutes {
    static func list(_ job: Job) async throws -> APIResponse {
        let entries = job.service.registry.names.map { entry($0.name, $0.model) }
        return APIResponse([
            "object": "list", "data": .array(entries), "has_more": false, "first_id": entries.first?["id"] ?? .null,
            "last_id": entries.last?["id"] ?? .null,
        ])
    }

    /// Tells of a model; none is loaded for it.
    static func one(_ job: Job) async throws -> APIResponse {
        let name = ModelService.untagged(job.remainder)
        guard let found = job.service.registry.names.first(where: { $0.name.hasSameBytes(as: name) }) else {
            return APIResponse(entry(name, try await job.service.model(named: name)))
        }
        return APIResponse(entry(found.name, found.model))
    }

    static func load(_ job: Job) async throws -> APIResponse {
        let name = try named(job)
        let model = try await job.service.model(named: name)
        job.service.log("model_loaded", ["request_id": .string(job.id), "model": .string(name)])
        return APIResponse(["success": true, "model": entry(name, model)])
    }

    static func unload(_ job: Job) async throws -> APIResponse {
        let name = try named(job)
        try job.service.registry.unload(name)
        job.service.log("model_unloaded", ["request_id": .string(job.id), "model": .string(name)])
        return APIResponse(["success": true])
    }

    /// The model that is to be loaded or unloaded, by somebody with a key.
    private static func named(_ job: Job) throws(APIError) -> String {
        guard job.tenant != nil else {
            throw APIError(
                status: 403, .permission, "Models are loaded and unloaded by those with a key: --api-key-file.",
                code: "key_needed")
        }
        return ModelService.untagged(try job.fields().requiredString("model"))
    }

    private static func entry(_ name: String, _ model: ServedModel?) -> JSON {
        var entry = JSONObject()
        entry["id"] = .string(name)
        entry["object"] = "model"
        entry["created"] = .integer(model?.created ?? 0)
        entry["owned_by"] = "martlet"
        // What Anthropic's clients read.
        entry["type"] = "model"
        entry["display_name"] = .string(name)
        entry["created_at"] = .string(UnixTime.text(model?.created ?? 0))
        entry["status"] = ["value": model == nil ? "unloaded" : "loaded"]
        guard let model else { return .object(entry) }
        // The longest prompt, as vLLM's and Anthropic's clients look for it.
        if let context = model.context {
            entry["max_model_len"] = .integer(context)
            entry["max_input_tokens"] = .integer(context)
        }
        entry["meta"] = [
            "n_params": .integer(model.size.parameters),
            "n_ctx_train": model.context.map { .integer($0) } ?? .null,
            "n_vocab": .integer(model.vocabularySize), "n_embd": .integer(model.architecture.width),
            "size": .integer(model.size.bytes), "model_type": .string(model.modelType),
            "tasks": .array(tasks(model).map { .string($0) }), "chat_template": .bool(model.chat != nil),
            "system_fingerprint": .string(model.fingerprint),
        ]
        return .object(entry)
    }

    /// The tasks that a model can be asked for.
    static func tasks(_ model: ServedModel) -> [String] {
        let vectors = model.embedder == nil ? [] : ["embed"]
        return switch model.work {
        case .text: (model.chat == nil ? ["complete"] : ["chat", "complete"]) + vectors
        case .classes: ["classify"] + vectors
        case .tags: ["tag"] + vectors
        case .answers: ["answer"] + vectors
        case .vectors: vectors
        case .writing: ["translate", "summarize"]
        }
    }
}
