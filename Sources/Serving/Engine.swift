package import MartletGeneration
package import MartletLayers
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
    private let architecture: Architecture
    private let mailbox: Mailbox
    private let thread: SystemThread?
    /// The model's adapters that requests may select.
    private let adapters: EngineAdapters
    private let capacity: [Int]
    private let layout: KeyValueLayout

    package convenience init(
        _ decoder: Decoder, _ options: EngineOptions = EngineOptions(), draft: Decoder? = nil,
        adapters: EngineAdapters = EngineAdapters(), on device: Device
    ) throws(GenerationError) {
        try self.init(.decoder(decoder), options, draft: draft, adapters: adapters, on: device)
    }

    /// - Parameters: `draft`: a smaller model with the same vocabulary, which guesses what this one writes; `adapters`:
    ///   those of the decoder that requests may select.
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
        let mailbox = Mailbox(options)
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

    private var isDecoder: Bool { if case .decoder = architecture.body { architecture.writes } else { false } }

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

    /// The offences of a request, everything that is wrong with it, each with its remedy.
    package func offences(of request: EngineRequest) -> [String] {
        let vocabulary = architecture.vocabulary
        var offences =
            request.sampling.offences(vocabulary: vocabulary) + request.rules.offences(vocabulary: vocabulary)
        let count = request.tokens.count
        offences += self.offences(prompt: request.tokens, vocabulary: vocabulary)
        if !isDecoder { offences.append("this model does not continue texts: it is not a decoder") }
        if request.maximumTokens < 0 { offences.append("\(request.maximumTokens) tokens cannot be generated") }
        offences += self.offences(adapter: request.adapter)
        if let scored = request.scored, scored < 0 { offences.append("\(scored) tokens cannot be scored") }
        if let context = architecture.context, count > context {
            offences.append("the prompt has \(count) tokens, but the model's context is \(context); shorten the prompt")
        } else if count > longest {
            offences.append(
                "the prompt has \(count) tokens, but keys and values have memory for \(longest); shorten the prompt, "
                    + "or allow the cache more memory")
        }
        for (table, blocks) in zip(layout.tables, capacity) where table.window != nil && offences.isEmpty {
            let needed = BlockLedger.Group(capacity: blocks, window: table.window)
                .blocks(length: min(longest, count + max(0, request.maximumTokens)), rows: Scheduler.quantum)
            if needed + 1 > blocks {
                offences.append(
                    "\(needed + 1) blocks of 64 positions are needed, but the cache has memory for \(blocks)")
            }
        }
        return offences
    }

    private func offences(prompt: [Int32], vocabulary: Int) -> [String] {
        if prompt.isEmpty { return ["the prompt has no tokens; give at least one"] }
        return prompt.first { $0 < 0 || $0 >= vocabulary }
            .map { ["token \($0) is not in the vocabulary of \(vocabulary)"] } ?? []
    }

    private func offences(adapter: Int?) -> [String] {
        guard let adapter, !(0..<adapters.count).contains(adapter) else { return [] }
        return ["there is no adapter \(adapter); the model has \(adapters.count)"]
    }

    private func offences(read tokens: [Int32], vocabulary: Int, _ context: Int?) -> [String] {
        var offences: [String] = []
        if tokens.isEmpty { offences.append("a text has no tokens; give at least one") }
        if let wrong = tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
            offences.append("token \(wrong) is not in the vocabulary of \(vocabulary)")
        }
        if let context, tokens.count > context {
            offences.append("a text has \(tokens.count) tokens, but the model's context is \(context); shorten it")
        }
        return offences
    }

    private func offences(of request: SearchRequest) -> [String] {
        guard architecture.writes, isDecoder || layout.source != nil else {
            return ["this model does not write: it has no decoder"]
        }
        let vocabulary = architecture.embedding.targetVocabulary ?? architecture.vocabulary
        var offences = request.options.offences(vocabulary: vocabulary)
        for prompt in Set(request.texts.map(\.prompt)) {
            offences += self.offences(prompt: prompt, vocabulary: vocabulary)
            guard let context = architecture.context, prompt.count >= context else { continue }
            offences.append("the prompt has \(prompt.count) tokens, but the model's context is \(context)")
        }
        for text in request.texts {
            if isDecoder {
                if !text.source.isEmpty { offences.append("this model does not write about sources") }
            } else {
                offences += self.offences(
                    read: text.source, vocabulary: architecture.vocabulary,
                    architecture.sourceContext ?? architecture.context)
            }
            let needed = RunningSearch.blocks(request.options, text, layout, architecture)
            if let most = capacity.min(), offences.isEmpty, needed > most {
                offences.append(
                    "\(needed) blocks of 64 positions are needed, but the cache has memory for \(most); ask for fewer "
                        + "beams or tokens, or allow the cache more memory")
            }
        }
        return offences
    }
}

/// The adapters of a decoder that the requests of an engine may select.
package struct EngineAdapters: Sendable {
    /// The selection by which a pass of the decoder says which rows select which; nil where there are none.
    package var selection: AdapterSelection?
    package var count = 0

    package init() {}

    package init(_ selection: AdapterSelection, count: Int) {
        if count > 0 { (self.selection, self.count) = (selection, count) }
    }
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

extension Architecture {
    /// The offences that keep a model from guessing what `model` writes.
    package func offences(drafting model: Architecture) -> [String] {
        vocabulary == model.vocabulary
            ? []
            : [
                "the draft model has a vocabulary of \(vocabulary) tokens, the model one of \(model.vocabulary); "
                    + "give a draft model with the same vocabulary"
            ]
    }
}

extension EngineOptions {
    /// The offences of these numbers, each with its remedy.
    var offences: [String] {
        var offences: [String] = []
        if !(1...1_024).contains(maximumSequences) {
            offences.append("\(maximumSequences) sequences at once: give between 1 and 1024")
        }
        if let cacheBytes, cacheBytes < 1 { offences.append("a cache of \(cacheBytes) bytes: give at least one block") }
        if let guesses, !(0...64).contains(guesses) { offences.append("\(guesses) guesses: give between 0 and 64") }
        if !(1...60_000).contains(stepMilliseconds) {
            offences.append("steps of \(stepMilliseconds) ms: give between 1 and 60000")
        }
        if waitingRequests < 1 || waitingRequestsPerTenant < 1 || waitingTokens < 1 {
            offences.append("no request may wait: give at least 1")
        }
        return offences
    }
}
