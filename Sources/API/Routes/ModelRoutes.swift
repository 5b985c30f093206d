import MartletJSON
import MartletLayers

/// `/v1/models`: which models there are, with llama.cpp's `meta`.
enum ModelRoutes {
    static func list(_ job: Job) async throws -> APIResponse {
        APIResponse(["object": "list", "data": .array(job.service.models.map(entry))])
    }

    static func one(_ job: Job) async throws -> APIResponse {
        APIResponse(entry(try job.service.model(named: job.remainder)))
    }

    private static func entry(_ model: ServedModel) -> JSON {
        [
            "id": .string(model.name), "object": "model", "created": .integer(model.created), "owned_by": "martlet",
            "meta": [
                "n_params": .integer(model.size.parameters),
                "n_ctx_train": model.context.map { .integer($0) } ?? .null,
                "n_vocab": .integer(model.vocabularySize), "n_embd": .integer(model.architecture.width),
                "size": .integer(model.size.bytes), "model_type": .string(model.modelType),
                "tasks": .array(tasks(model).map { .string($0) }), "chat_template": .bool(model.chat != nil),
                "system_fingerprint": .string(model.fingerprint),
            ],
        ]
    }

    /// What a model can be asked for.
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
