package import MartletJSON
import MartletTasks

/// `POST /v1/explain`: one forward pass with what it computed on the way, one at a time.
enum ExplainRoute {
    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        let question = ModelInspector.Question(
            text: try fields.requiredString("text"), pair: try fields.string("pair"),
            target: try fields.string("target"), row: try fields.integer("row", 0...1 << 20))
        return APIResponse(try await model.look(question))
    }
}

extension ServedModel {
    /// Looks inside one forward pass.
    ///
    /// - Throws: ``APIError``, what tokenizing throws.
    package func look(_ question: ModelInspector.Question) async throws -> JSON {
        var writer: Writer?
        if case .writing(let writing) = work { writer = try writing.writer(.translation, .init()) }
        guard let vocabulary = lookVocabulary else { throw wrongTask("have a vocabulary") }
        let found = try await engine.run { [inspector, writer] in try inspector.look(question, vocabulary, writer) }
        var answer = found.objectValue ?? JSONObject()
        answer["model"] = .string(name)
        answer["system_fingerprint"] = .string(fingerprint)
        return .object(answer)
    }

    private var lookVocabulary: (any WriterVocabulary)? {
        if case .writing(let writing) = work { return writing.vocabulary }
        return tokenizer
    }
}
