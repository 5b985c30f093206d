import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTasks

/// The engine of a model that is served, as one of the model's names uses it.
struct ModelEngine: Sendable {
    private let engine: Engine
    private let adapter: Int?
    private let selection: AdapterSelection
    /// Texts of one caller that the engine is given at once, so that none makes room for many results of its own.
    private static let textsAtOnce = 64

    /// - Parameters:
    ///   - adapter: The adapter that passes select, by number.
    ///   - selection: Where they say so.
    init(_ engine: Engine, adapter: Int? = nil, of selection: AdapterSelection = AdapterSelection()) {
        (self.engine, self.adapter, self.selection) = (engine, adapter, selection)
    }

    var load: EngineLoad { engine.load }

    /// Runs `body` on the engine's thread, between two steps.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await Task(executorPreference: engine) { try selection.selecting(adapter, body) }.value
    }

    /// Reads the texts of a task, in passes with those of others.
    ///
    /// - Throws: what ended it; the request's cancellation, within a step.
    func run<Part, Output>(_ task: TextTask<Part, Output>, for job: Job) async throws -> Output {
        let request = ReadingRequest(task.texts, adapter: adapter, tenant: job.tenant ?? 0)
        let results = try await whileWanted(job) { try await engine.read(request) }
        return try task.output(results.enumerated().map { try task.part($0.offset, $0.element) })
    }

    /// The results of tasks on `items`, so many items at a time that a client who leaves is noticed.
    func run<Item: Sendable, Part, Result: Sendable>(
        _ items: [Item], for job: Job, _ task: ([Item]) throws -> TextTask<Part, [Result]>
    ) async throws -> [Result] {
        var results: [Result] = []
        for start in stride(from: 0, to: items.count, by: ModelEngine.textsAtOnce) {
            try job.request.cancellation.check()
            let part = Array(items[start..<min(start + ModelEngine.textsAtOnce, items.count)])
            results += try await run(task(part), for: job)
        }
        return results
    }

    /// Writes about texts, in steps with what others have written about theirs.
    ///
    /// - Throws: what ended it; the request's cancellation, within a step.
    func write(_ texts: [String], _ writer: Writer, for job: Job) async throws -> [[Writer.Written]] {
        let request = SearchRequest(
            try writer.sources(texts), prompt: [writer.settings.startToken], writer.settings.search,
            tenant: job.tenant ?? 0)
        let found = try await whileWanted(job) { try await engine.search(request) }
        return try writer.written(found, about: texts)
    }

    /// Runs `body` until the job's client has gone.
    private func whileWanted<Result: Sendable>(
        _ job: Job, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let task = Task { try await body() }
        job.request.cancellation.onCancel { _ in task.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        } catch {
            throw job.request.cancellation.reason ?? error
        }
    }
}
