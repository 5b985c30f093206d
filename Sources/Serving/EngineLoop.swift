import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The thread of an engine: drain the mailbox, plan a step, run it, choose tokens, commit, publish.
final class EngineLoop {
    private let architecture: Architecture
    let steps: StepEngine
    let options: EngineOptions
    /// What guesses the next tokens of texts; nil without.
    let draft: DraftModel?
    private let mailbox: Mailbox
    var blocks: EngineBlocks
    var scheduler: Scheduler
    var cache: KeyValueCache
    var sequences: [Int: EngineSequence] = [:]
    var costs = SpeculationCosts()
    // Made anew by each step, in memory that stays.
    var schedule = StepSchedule()
    var rows: [StepRow] = []
    var results: [RunResult] = []
    var choices: [SamplingRow] = []
    var tokens: [SampledToken] = []
    private var readers: [CheckedContinuation<Void, Never>] = []
    var metrics = EngineMetrics()
    /// Rows that a second computes, as far as is known.
    var rowsPerSecond = 2_000.0

    init(
        _ architecture: Architecture, _ steps: StepEngine, _ options: EngineOptions, _ draft: DraftModel?,
        capacity: [Int], _ mailbox: Mailbox, on device: Device
    ) {
        (self.architecture, self.steps, self.draft) = (architecture, steps, draft)
        (self.options, self.mailbox) = (options, mailbox)
        blocks = EngineBlocks(steps.layout, capacity, limit: options.cacheBytes, on: device)
        var limits = SchedulerLimits()
        limits.slots = options.maximumSequences
        // The mailbox has counted already.
        (limits.waitingRequests, limits.waitingTokens, limits.waitingRequestsPerTenant) = (.max, .max, .max)
        scheduler = Scheduler(
            limits,
            groups: zip(steps.layout.tables, blocks.capacity).map { .init(capacity: $1, window: $0.window) })
        cache = steps.cache()
        metrics.blocks = blocks.capacity.max() ?? 0
    }

    /// Until the engine is stopped.
    func run() {
        while true {
            let mail = mailbox.collect(waiting: sequences.isEmpty)
            for job in mail.jobs { job() }
            if mail.isStopped {
                for letter in mail.letters { wake(letter.output.finish(.failure(EngineError.stopped))) }
                for id in Array(sequences.keys) { fail(id, EngineError.stopped) }
                return publish()
            }
            for letter in mail.letters { take(letter) }
            for id in mail.cancelled { cancel(id) }
            expire()
            if !sequences.isEmpty { step() }
            publish()
        }
    }

    // MARK: Requests

    private func take(_ letter: Mailbox.Letter) {
        let request = letter.request
        sequences[letter.id] = EngineSequence(
            request, letter.output, submitted: letter.submitted, sources: sources(for: request))
        guard request.maximumTokens > 0 else { return finish(letter.id, .length) }
        schedule(letter.id, request.tokens)
        do {
            if let reason = try writeForced(letter.id) { finish(letter.id, reason) }
        } catch {
            fail(letter.id, EngineError.unsatisfiable("\(error)"))
        }
    }

    /// By what the tokens of a request are guessed.
    private func sources(for request: EngineRequest) -> Set<TokenGuesses.Source> {
        guard !architecture.keysDependOnLength else { return [] }
        var sources: Set<TokenGuesses.Source> = []
        if request.guesses { sources.insert(.lookup) }
        if request.isDrafted && draft != nil { sources.insert(.draft) }
        return sources
    }

    private func schedule(_ id: Int, _ tokens: [Int32]) {
        guard let own = sequences[id] else { return }
        var scheduled = ScheduledRequest(id: id, tokens: tokens, maximumNewTokens: own.room)
        (scheduled.tenant, scheduled.priority) = (own.request.tenant, own.request.priority)
        // Keys and values of one adapter are no other's.
        let adapter = (own.request.adapter ?? -1) + 1
        if !architecture.keysDependOnLength {
            scheduled.namespace = own.request.namespace.map { $0 << 12 | adapter }
        }
        do { try scheduler.submit(scheduled) } catch { fail(id, EngineError.invalid(["\(error)"])) }
    }

    private func cancel(_ id: Int) {
        guard sequences[id] != nil else { return }
        metrics.cancelled += 1
        end(id, .failure(CancellationError()))
    }

    func fail(_ id: Int, _ error: any Error) {
        metrics.failed += 1
        end(id, .failure(error))
    }

    func finish(_ id: Int, _ finish: FinishReason) {
        guard let own = sequences[id] else { return }
        metrics.finished += 1
        end(id, .success(.init(finish: finish, generatedTokens: own.generated, preemptions: own.preemptions)))
    }

    private func end(_ id: Int, _ result: Result<EngineUsage, any Error>) {
        guard let own = sequences.removeValue(forKey: id) else { return }
        scheduler.cancel(id)
        cache.remove(SequenceID(id))
        draft?.forget(id)
        mailbox.begun(id)
        wake(own.output.finish(result))
    }

    private func expire() {
        guard sequences.values.contains(where: { $0.request.deadline != nil }) else { return }
        let now = ContinuousClock.now
        for (id, own) in sequences where own.request.deadline.map({ $0 <= now }) ?? false {
            fail(id, EngineError.expired)
        }
    }

    /// The request leaves the queue, with so many tokens of its prompt known from another.
    func begin(_ id: Int, shared: Int) {
        mailbox.begun(id)
        guard let own = sequences[id], let reader = own.output.begin(shared: shared) else { return }
        metrics.sharedTokens += shared
        wake(reader)
    }

    /// A text that has outgrown the length after which all of its positions rotate otherwise is read anew (LongRoPE).
    func rereadOutgrown(_ id: Int) {
        guard let trained = architecture.rereadsBeyond, let own = sequences[id], own.extent <= trained else { return }
        let tokens = scheduler.tokens(of: id)
        guard tokens.count > trained else { return }
        scheduler.cancel(id)
        cache.remove(SequenceID(id))
        sequences[id]?.extent = tokens.count
        schedule(id, tokens)
    }

    // MARK: Results

    func wake(_ reader: CheckedContinuation<Void, Never>?) { if let reader { readers.append(reader) } }

    /// One wake for all readers of a step.
    private func publish() {
        metrics.running = scheduler.running.count
        (metrics.usedBlocks, metrics.rememberedBlocks) = (0, 0)
        for table in steps.layout.tables.indices {
            let (free, remembered) = (scheduler.ledger.free(table), scheduler.ledger.remembered(table))
            metrics.usedBlocks = max(metrics.usedBlocks, scheduler.ledger.capacity(table) - free - remembered)
            metrics.rememberedBlocks = max(metrics.rememberedBlocks, remembered)
        }
        metrics.cacheBytes = blocks.heldBytes + (draft?.heldBytes ?? 0)
        (metrics.held.requests, metrics.held.scheduled) = (sequences.count, scheduler.count)
        (metrics.held.cached, metrics.held.drafted) = (cache.sequenceCount, draft?.sequences ?? 0)
        mailbox.publish(metrics)
        for reader in readers { reader.resume() }
        readers.removeAll(keepingCapacity: true)
    }
}
