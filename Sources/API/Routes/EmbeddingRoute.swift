import MartletJSON
import MartletLayers
import MartletTasks
import MartletTokenizers

/// `POST /v1/embeddings`: one vector per text.
enum EmbeddingRoute {
    private enum Format: String, CaseIterable { case float, base64 }

    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields, madeFor: \.makesVectors)
        let format = try fields.choice("encoding_format", Format.self) ?? .float
        let dimensions = try fields.integer("dimensions", 1...max(1, model.architecture.width))
        let texts = try inputs(fields, model, atMost: job.limits.textsPerRequest)
        try model.checkLengths(texts.map { ($0, nil) }, "input", mayBeCut: fields.bool("truncate") ?? false)
        let (vectors, tokens) = try await Embedding.vectors(texts, model, job)
        let data = vectors.enumerated().map { index, vector -> JSON in
            let vector = dimensions.map { Embedding.shortened(vector, to: $0) } ?? vector
            let value: JSON =
                format == .base64 ? .base64(vector) : .array(vector.map { .number(Double($0)) })
            return ["object": "embedding", "index": .integer(index), "embedding": value]
        }
        return APIResponse([
            "object": "list", "data": .array(data), "model": .string(model.name),
            "usage": ["prompt_tokens": .integer(tokens), "total_tokens": .integer(tokens)],
        ])
    }

    /// `input`: a text, texts, token ids, or lists of such.
    private static func inputs(_ fields: Fields, _ model: ServedModel, atMost most: Int) throws -> [String] {
        guard let value = fields["input"] else { throw fields.missing("input") }
        if let text = value.stringValue { return [text] }
        guard value.arrayValue != nil else { throw fields.wrong("input", value, "a string or an array") }
        guard let elements = try fields.array("input", atMost: 1 << 20), !elements.isEmpty else {
            throw APIError.invalid("input is empty.", "input")
        }
        let tokenizer = try model.neededTokenizer()
        func text(_ ids: [Int32], _ path: String) throws -> String {
            guard let wrong = ids.first(where: { $0 < 0 || Int($0) >= model.vocabularySize }) else {
                return try tokenizer.decode(ids)
            }
            throw APIError.invalid(
                "\(path) holds token \(wrong), which is not in this model's vocabulary of \(model.vocabularySize); "
                    + "send text (with LangChain: check_embedding_ctx_length=False).", path, code: "invalid_value")
        }
        if let ids = CompletionRoute.ids(elements) { return [try text(ids, "input")] }
        guard elements.count <= most else {
            throw APIError.invalid("input has \(elements.count) texts, but at most \(most) are taken.", "input")
        }
        return try elements.enumerated().map { index, element in
            if let text = element.stringValue { return text }
            if let ids = element.arrayValue.flatMap(CompletionRoute.ids) { return try text(ids, "input[\(index)]") }
            throw APIError.invalid(
                "input[\(index)] is \(element.kind), but a string is expected.", "input[\(index)]",
                code: "invalid_type")
        }
    }
}

/// Vectors of texts.
enum Embedding {
    /// The vectors, and how many tokens were read.
    static func vectors(_ texts: [String], _ model: ServedModel, _ job: Job) async throws -> ([[Float]], Int) {
        guard let embedder = model.embedder else { throw model.wrongTask("make vectors") }
        var tokens = 0
        let vectors = try await model.engine.run(texts, for: job) { part in
            let task = try embedder.task(part)
            tokens += task.tokenCount
            return task
        }
        job.metrics.tokens(prompt: tokens, cached: 0, generated: 0)
        return (vectors, tokens)
    }

    /// The first elements, at length 1 again (arXiv:2205.13147).
    static func shortened(_ vector: [Float], to count: Int) -> [Float] {
        guard count < vector.count else { return vector }
        let part = vector.prefix(count)
        let norm = part.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return part.map { Float(Double($0) / max(norm, 1e-12)) }
    }

    /// The cosine of the angle between two vectors.
    static func similarity(_ a: [Float], _ b: [Float]) -> Double {
        let product = zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        let norms = [a, b].map { $0.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
        return product / max(norms[0] * norms[1], 1e-12)
    }
}
