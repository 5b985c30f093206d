import MartletJSON
import MartletTasks

/// Routes for ranking texts by how well they answer a query: `/v1/rerank` (Cohere's and Jina's shape) and `/v1/score`
/// (vLLM's).
///
/// A cross-encoder reads query and text together, one with a template in its words; any other model that makes vectors
/// compares them by cosine.
enum RankRoutes {
    static func rerank(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields, madeFor: \.ranksTexts)
        let query = try fields.requiredString("query")
        let texts = try documents(fields, atMost: job.limits.textsPerRequest)
        let most = try fields.integer("top_n", 1...1 << 20) ?? texts.count
        let returnsTexts = try fields.bool("return_documents") ?? false
        try checkLengths(texts.map { (query, $0) }, ("query", "documents"), fields, model)
        let (scores, tokens) = try await scores(texts.map { (query, $0) }, model, job)
        let order = texts.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1] }
        let results = order.prefix(most).map { index -> JSON in
            var result = JSONObject()
            result["index"] = .integer(index)
            result["relevance_score"] = .number(scores[index])
            if returnsTexts { result["document"] = ["text": .string(texts[index])] }
            return .object(result)
        }
        return APIResponse([
            "id": .string("rerank-" + RequestIdentity.random()), "model": .string(model.name),
            "results": .array(results), "usage": usage(tokens),
        ])
    }

    static func score(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields, madeFor: \.ranksTexts)
        guard let first = try fields.strings("text_1", atMost: job.limits.textsPerRequest) else {
            throw fields.missing("text_1")
        }
        guard let second = try fields.strings("text_2", atMost: job.limits.textsPerRequest) else {
            throw fields.missing("text_2")
        }
        guard first.count == 1 || first.count == second.count, !second.isEmpty else {
            throw APIError.invalid("text_1 has \(first.count) texts and text_2 \(second.count).", "text_1")
        }
        let pairs = second.indices.map { (first[first.count == 1 ? 0 : $0], second[$0]) }
        try checkLengths(pairs, ("text_1", "text_2"), fields, model)
        let (scores, tokens) = try await scores(pairs, model, job)
        let data = scores.enumerated().map { index, score -> JSON in
            ["object": "score", "index": .integer(index), "score": .number(score)]
        }
        return APIResponse([
            "object": "list", "model": .string(model.name), "data": .array(data), "usage": usage(tokens),
        ])
    }

    private static func usage(_ tokens: Int) -> JSON {
        ["prompt_tokens": .integer(tokens), "total_tokens": .integer(tokens)]
    }

    /// Refuses what is longer than the model reads at once: a pair, or a text alone.
    private static func checkLengths(
        _ pairs: [(String, String)], _ names: (first: String, second: String), _ fields: Fields, _ model: ServedModel
    ) throws {
        let mayBeCut = try fields.bool("truncate") ?? false
        guard case .vectors = model.work else {
            return try model.checkLengths(
                pairs.map { ($0.0, $0.1) }, names.second, mayBeCut: mayBeCut, ranks: true)
        }
        let isOne = pairs.allSatisfy { $0.0.hasSameBytes(as: pairs[0].0) }
        let firsts = isOne ? Array(pairs.prefix(1)) : pairs
        try model.checkLengths(firsts.map { ($0.0, nil) }, names.first, mayBeCut: mayBeCut)
        try model.checkLengths(pairs.map { ($0.1, nil) }, names.second, mayBeCut: mayBeCut)
    }

    private static func documents(_ fields: Fields, atMost most: Int) throws -> [String] {
        guard let given = try fields.array("documents", atMost: most) else { throw fields.missing("documents") }
        return try given.enumerated().map { index, document in
            guard let text = document.stringValue ?? document["text"]?.stringValue else {
                throw APIError.invalid(
                    "documents[\(index)] is \(document.kind), but a string is expected.", "documents[\(index)]",
                    code: "invalid_type")
            }
            return text
        }
    }

    /// The scores of pairs, and how many tokens were read.
    private static func scores(
        _ pairs: [(String, String)], _ model: ServedModel, _ job: Job
    ) async throws -> ([Double], Int) {
        guard case .classes(let classifier) = model.work, model.ranksTexts else {
            return try await similarities(pairs, model, job)
        }
        var tokens = 0
        let scores: [Double]
        if let ranker = classifier.ranker {
            scores = try await model.engine.run(pairs, for: job) { items in
                let task = try ranker.task(items.map { (query: $0.0, document: $0.1) })
                tokens += task.tokenCount
                return task
            }.map { Double($0) }
        } else {
            scores = try await model.engine.run(pairs.map { (text: $0.0, pair: String?.some($0.1)) }, for: job) {
                let task = try classifier.task($0)
                tokens += task.tokenCount
                return task
            }.map { Double($0[0].score) }
        }
        job.metrics.tokens(prompt: tokens, cached: 0, generated: 0)
        return (scores, tokens)
    }

    /// The cosines between the vectors of pairs, and how many tokens were read.
    private static func similarities(
        _ pairs: [(String, String)], _ model: ServedModel, _ job: Job
    ) async throws -> ([Double], Int) {
        guard model.makesVectors else { throw model.wrongTask("rank texts") }
        let firsts = Array(Set(pairs.map { ExactKey($0.0) }))
        let (vectors, tokens) = try await Embedding.vectors(firsts.map(\.string) + pairs.map(\.1), model, job)
        let places = Dictionary(uniqueKeysWithValues: firsts.enumerated().map { ($1, $0) })
        let similarities = pairs.indices.map { index in
            let first = places[ExactKey(pairs[index].0)] ?? 0
            return Embedding.similarity(vectors[first], vectors[firsts.count + index])
        }
        return (similarities, tokens)
    }
}
