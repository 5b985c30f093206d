import MartletGeneration
import MartletJSON
import MartletTasks

/// Tasks besides continuing texts: `/v1/classify`, `/v1/tag`, `/v1/answer`, `/v1/translate`, `/v1/summarize`.
///
/// `input` is a text or a list of texts; the results stand in `data`, one for each.
enum TaskRoutes {
    static func classify(_ job: Job) async throws -> APIResponse {
        let (fields, model, texts) = try await inputs(job)
        guard case .classes(let classifier) = model.work else { throw model.wrongTask("classify") }
        let pairs = try fields.strings("pair", atMost: texts.count)
        guard pairs == nil || pairs?.count == texts.count else {
            throw APIError.invalid("pair has \(pairs?.count ?? 0) texts, but input has \(texts.count).", "pair")
        }
        let items = texts.indices.map { (text: texts[$0], pair: pairs?[$0]) }
        try model.checkLengths(items, "input", mayBeCut: fields.bool("truncate") ?? false)
        let found = try await model.engine.run(items, for: job) { try classifier.task($0) }
        return list(
            model,
            found.map { scores in
                ["scores": .array(scores.map { ["label": .string($0.label), "score": .score($0.score)] })]
            })
    }

    static func tag(_ job: Job) async throws -> APIResponse {
        let (fields, model, texts) = try await inputs(job)
        guard case .tags(let tagger) = model.work else { throw model.wrongTask("tag") }
        let aggregation = try fields.choice("aggregation", Tagger.Aggregation.self) ?? .first
        let found = try await model.engine.run(texts, for: job) { try tagger.task($0, aggregation) }
        return list(
            model,
            found.map { spans in
                [
                    "spans": .array(
                        spans.map {
                            [
                                "label": .string($0.label), "score": .score($0.score), "text": .string($0.text),
                                "start": .integer($0.start), "end": .integer($0.end),
                            ]
                        })
                ]
            })
    }

    static func answer(_ job: Job) async throws -> APIResponse {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        guard case .answers(let answerer) = model.work else { throw model.wrongTask("answer questions about a text") }
        let (question, context) = (try fields.requiredString("question"), try fields.requiredString("context"))
        var options = Answerer.Options()
        options.results = try fields.integer("top_k", 1...100) ?? 1
        if try fields.bool("no_answer") ?? false { options.noAnswer = .possible }
        let found = try await model.engine.run(
            answerer.task([(question: question, context: context)], options), for: job)
        let answers = (found.first ?? []).map { answer -> JSON in
            [
                "text": .string(answer.text), "score": .score(answer.score), "start": .integer(answer.start),
                "end": .integer(answer.end),
            ]
        }
        return APIResponse(["object": "list", "model": .string(model.name), "data": .array(answers)])
    }

    static func translate(_ job: Job) async throws -> APIResponse { try await write(job, .translation) }

    static func summarize(_ job: Job) async throws -> APIResponse { try await write(job, .summarization) }

    private static func write(_ job: Job, _ task: Writer.Task) async throws -> APIResponse {
        let (fields, model, texts) = try await inputs(job)
        guard case .writing(let writing) = model.work else { throw model.wrongTask("write about a text") }
        var writer = try writing.writer(
            task, .init(source: fields.string("source_language"), target: fields.string("target_language")))
        if let prefix = try fields.string("prefix") { writer.settings.prefix = prefix }
        if let beams = try fields.integer("beams", 1...16) { writer.settings.search.beams = beams }
        if let count = try fields.integer("n", 1...16) { writer.settings.search.results = count }
        if let most = try fields.integer("max_tokens", 1...4_096) { writer.settings.search.maximumTokens = most }
        if writer.settings.search.results > writer.settings.search.beams {
            throw APIError.invalid("n is over the \(writer.settings.search.beams) beams.", "n")
        }
        let written = try await model.engine.write(texts, writer, for: job)
        return list(
            model,
            written.map { written in
                [
                    "text": .string(written.first?.text ?? ""),
                    "results": .array(written.map { ["text": .string($0.text), "score": .score($0.score)] }),
                ]
            })
    }

    private static func inputs(_ job: Job) async throws -> (Fields, ServedModel, [String]) {
        let fields = try job.fields()
        let model = try await job.service.model(fields)
        guard let texts = try fields.strings("input", atMost: job.limits.textsPerRequest) else {
            throw fields.missing("input")
        }
        guard !texts.isEmpty else { throw APIError.invalid("input is empty.", "input") }
        return (fields, model, texts)
    }

    private static func list(_ model: ServedModel, _ data: [JSON]) -> APIResponse {
        let indexed = data.enumerated().map { index, result -> JSON in
            var object = result.objectValue ?? JSONObject()
            object["index"] = .integer(index)
            return .object(object)
        }
        return APIResponse(["object": "list", "model": .string(model.name), "data": .array(indexed)])
    }
}
