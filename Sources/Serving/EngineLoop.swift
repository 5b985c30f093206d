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
    private let mailbox: Mailbox
    var blocks: EngineBlocks
    var scheduler: Scheduler
    var cache: KeyValueCache
    var sequences: [Int: EngineSequence] = [:]
    var rows: [StepRow] = []
    private var readers: [CheckedContinuation<Void, Never>] = []
    var metrics = EngineMetrics()
    /// Rows that a second computes, as far as is known.
    var rowsPerSecond = 2_000.0

    init(
        _ architecture: Architecture, _ steps: StepEngine, _ options: EngineOptions, capacity: [Int],
        _ mailbox: Mailbox, on device: Device
    ) {
        (self.architecture, self.steps) = (architecture, steps)
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
            request, letter.output, submitted: letter.submitted,
            guesses: request.guesses && !architecture.keysDependOnLength)
        guard request.maximumTokens > 0 else { return finish(letter.id, .length) }
        do {
            let (forced, reason) = try writeForced(letter.id)
            if let reason { return finish(letter.id, reason) }
            schedule(letter.id, request.tokens + forced)
        } catch {
            fail(letter.id, EngineError.unsatisfiable("\(error)"))
        }
    }

    private func schedule(_ id: Int, _ tokens: [Int32]) {
        guard let own = sequences[id] else { return }
        var scheduled = ScheduledRequest(id: id, tokens: tokens, maximumNewTokens: own.room)
        (scheduled.tenant, scheduled.priority) = (own.request.tenant, own.request.priority)
        if !architecture.keysDependOnLength { scheduled.namespace = own.request.namespace }
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
            let (ledger, free) = (scheduler.ledger, scheduler.ledger.free(table))
            let remembered = ledger.remembered(table)
            metrics.usedBlocks = max(metrics.usedBlocks, ledger.capacity(table) - free - remembered)
            metrics.rememberedBlocks = max(metrics.rememberedBlocks, remembered)
        }
        mailbox.publish(metrics)
        for reader in readers { reader.resume() }
        readers.removeAll(keepingCapacity: true)
    }
}
