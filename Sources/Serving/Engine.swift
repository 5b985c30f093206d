package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors
import Synchronization

/// Continuous batching of one model: any number of requests of every kind that it knows (texts to be continued, read
/// whole, or written about sources), computed by common steps of one thread.
///
/// Every step reads each weight once for all requests; requests join and leave between two steps. What a request gets
/// does not depend on which others there are: the bits are those of the request alone. Safe to share; `submit` and
/// `cancel` never wait for a step, and a slow reader holds nobody up. As a task executor it runs other work of the same
/// model between two steps.
package final class Engine: Sendable {
    package let options: EngineOptions
    let architecture: Architecture
    private let mailbox: EngineMailbox
    private let thread: SystemThread?
    /// The model's adapters that requests may select.
    let adapters: EngineAdapters
    /// The maximum number of blocks of each table of `layout`.
    let capacity: [Int]
    let layout: KeyValueLayout

    package convenience init(
        _ decoder: Decoder, _ options: EngineOptions = EngineOptions(), draft: Decoder? = nil,
        adapters: EngineAdapters = EngineAdapters(), on device: Device
    ) throws(GenerationError) {
        try self.init(.decoder(decoder), options, draft: draft, adapters: adapters, on: device)
    }

    /// - Parameters:
    ///   - draft: A smaller model with the same vocabulary, which guesses what this one writes.
    ///   - adapters: Those of the decoder that requests may select.
    /// - Throws: ``GenerationError`` for a model or options that cannot be served, with every offence.
    package init(
        _ model: Model, _ options: EngineOptions = EngineOptions(), draft: Decoder? = nil,
        adapters: EngineAdapters = EngineAdapters(), on device: Device
    ) throws(GenerationError) {
        let architecture = model.architecture
        let offences =
            options.offences + architecture.offences(cache: options.cache)
            + (draft.map { $0.architecture.offences(drafting: architecture) } ?? [])
        guard offences.isEmpty else { throw GenerationError(offences.joined(separator: "; ")) }
        layout = try StepEngine(model, cache: options.cache, on: device).layout
        let mailbox = EngineMailbox(options)
        (self.options, self.mailbox, self.architecture) = (options, mailbox, architecture)
        self.adapters = adapters
        let drafting = try draft.map { draft throws(GenerationError) in
            let type = draft.architecture.offences(cache: options.cache).isEmpty ? options.cache : .f32
            return (decoder: draft, layout: try StepEngine(draft, cache: type, on: device).layout)
        }
        let capacity = EngineBlocks.capacity(
            layout, draft: drafting?.layout, options, context: architecture.context)
        self.capacity = capacity
        thread = SystemThread {
            // The thread alone knows what it works with.
            guard
                let steps = try? StepEngine(
                    model, cache: options.cache, selection: adapters.selection, on: device)
            else { return }
            let draft = drafting.flatMap { draft, layout in
                try? DraftModel(
                    draft, cache: layout.type, limit: (capacity.max() ?? 0) * layout.blockBytes, on: device)
            }
            EngineLoop(architecture, steps, options, draft, capacity: capacity, mailbox, on: device).run()
        }
    }

    deinit {
        mailbox.stop()
        // The last reference may be dropped by a job on the thread itself, which cannot wait for its own end.
        thread?.detach()
    }

    /// True where the system granted a thread. Without, nothing can be computed.
    package var isRunning: Bool { thread != nil }

    /// Takes a request; its tokens come from the stream that is returned. As many come as the context and the cache
    /// hold.
    ///
    /// - Throws: ``EngineError``, at once: what is wrong with the request, or that too much waits.
    package func submit(_ request: EngineRequest) throws(EngineError) -> EngineStream {
        let offences = offences(of: request)
        guard offences.isEmpty else { throw .invalid(offences) }
        guard thread != nil else { throw .stopped }
        var request = request
        request.maximumTokens = min(request.maximumTokens, longest - request.tokens.count)
        let output = EngineOutput()
        let id = try mailbox.submit(.generation(request, output))
        return EngineStream(output) { [weak mailbox] in mailbox?.cancel(id) }
    }

    /// Reads whole texts, in passes with those of other callers; a text's numbers do not depend on the others.
    /// Cancelling the task ends the request within one step.
    ///
    /// - Returns: what the model computed for each.
    /// - Throws: ``EngineError``; `CancellationError`.
    package func read(_ request: ReadingRequest) async throws -> [ReadText] {
        var offences = offences(adapter: request.adapter)
        for text in request.texts {
            offences += self.offences(read: text.tokens, vocabulary: architecture.vocabulary, architecture.context)
        }
        guard offences.isEmpty else { throw EngineError.invalid(offences) }
        guard !request.texts.isEmpty else { return [] }
        let output = WorkOutput<ReadText>(request.texts.count)
        return try await results(of: .reading(request, output), output)
    }

    /// Finds by beam search how texts go on, in steps with the texts and searches of other callers; what is found does
    /// not depend on them. Cancelling the task ends the request within one step.
    ///
    /// - Returns: for each text the best continuations.
    /// - Throws: ``EngineError``, ``GenerationError``; `CancellationError`.
    package func search(_ request: SearchRequest) async throws -> [[BeamSearch.Hypothesis]] {
        let offences = offences(of: request)
        guard offences.isEmpty else { throw EngineError.invalid(offences) }
        guard !request.texts.isEmpty else { return [] }
        let output = WorkOutput<[BeamSearch.Hypothesis]>(request.texts.count)
        return try await results(of: .search(request, output), output)
    }

    private func results<Value>(of work: EngineWork, _ output: WorkOutput<Value>) async throws -> [Value] {
        guard thread != nil else { throw EngineError.stopped }
        let id = try mailbox.submit(work)
        return try await withTaskCancellationHandler {
            try await output.all()
        } onCancel: {
            mailbox.cancel(id)
        }
    }

    var isDecoder: Bool { if case .decoder = architecture.body { architecture.writes } else { false } }

    /// Positions that a text can have.
    package var longest: Int {
        zip(layout.tables, capacity).reduce(architecture.context ?? .max) { longest, table in
            table.0.window == nil ? min(longest, max(0, table.1 - 1) * BlockLayout.positions) : longest
        }
    }

    /// The metrics of the engine, what it has done and does; as of its last step.
    package var metrics: EngineMetrics { mailbox.metrics }

    /// Ends the engine: what is not finished fails with ``EngineError/stopped``.
    package func stop() { mailbox.stop() }
}

extension Engine: TaskExecutor {
    /// Runs other work of the same model on the engine's thread, between two steps.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = unsafe asUnownedTaskExecutor()
        guard thread != nil else { return unsafe job.runSynchronously(on: executor) }
        mailbox.run { unsafe job.runSynchronously(on: executor) }
    }
}
