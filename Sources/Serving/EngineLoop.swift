import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The thread of an engine: drain the mailbox, plan a step, run it, choose tokens, commit, publish.
final class EngineLoop {
    let architecture: Architecture
    let steps: StepEngine
    let options: EngineOptions
    /// The draft model that guesses the next tokens of texts; nil without.
    let draft: DraftModel?
    let mailbox: EngineMailbox
    var blocks: EngineBlocks
    var scheduler: Scheduler
    var cache: KeyValueCache
    var sequences: [Int: EngineSequence] = [:]
    /// The number of sequences with a deadline.
    private var deadlines = 0
    /// Requests of several parts, by the number of each part.
    var parts: [Int: EngineParts] = [:]
    var searches: [Int: RunningSearch] = [:]
    /// Beams are sequences with numbers below 0.
    var lastBeam = 0
    var costs = SpeculationCosts()
    // Made anew by each step, in memory that stays.
    var schedule = StepSchedule()
    var rows: [StepRow] = []
    var results: [RunResult] = []
    var choices: [SamplingRow] = []
    var tokens: [SampledToken] = []
    private var readers: [CheckedContinuation<Void, Never>] = []
    var metrics = EngineMetrics()
    var pace = ReadingPace()
    /// The number of the schedule's first runs that are texts; those after them are searches.
    var textRuns = 0

    init(
        _ architecture: Architecture, _ steps: StepEngine, _ options: EngineOptions, _ draft: DraftModel?,
        capacity: [Int], _ mailbox: EngineMailbox, on device: Device
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
        cache = steps.cache(pool: blocks.pool)
        metrics.blocks = blocks.capacity.max() ?? 0
    }

    /// Runs until the engine is stopped.
    func run() {
        while true {
            let mail = mailbox.collect(waiting: sequences.isEmpty && parts.isEmpty)
            for job in mail.jobs { job() }
            if mail.isStopped {
                for letter in mail.letters { wake(letter.work.fail(EngineError.stopped)) }
                for id in Array(sequences.keys) + Array(parts.keys) { fail(id, EngineError.stopped) }
                return publish()
            }
            for letter in mail.letters { take(letter) }
            for id in mail.cancelled { cancel(id) }
            expire()
            if !(sequences.isEmpty && parts.isEmpty) { step() }
            publish()
        }
    }

    // MARK: Requests

    private func take(_ letter: EngineMailbox.Letter) {
        switch letter.work {
        case .generation(let request, let output): take(request, output, letter)
        case .reading(let request, _): take(request, EngineParts(letter.ids, letter.work))
        case .search(let request, _): take(request, EngineParts(letter.ids, letter.work))
        }
    }

    private func take(_ request: EngineRequest, _ output: EngineOutput, _ letter: EngineMailbox.Letter) {
        let id = letter.ids.lowerBound
        sequences[id] = EngineSequence(
            request, output, submitted: letter.submitted, sources: sources(for: request))
        if request.deadline != nil { deadlines += 1 }
        guard request.maximumTokens > 0 else { return finish(id, .length) }
        schedule(id, request.tokens)
        do {
            if let reason = try writeForced(id) { finish(id, reason) }
        } catch {
            fail(id, EngineError.unsatisfiable("\(error)"))
        }
    }

    /// The sources of guesses for the tokens of a request.
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
        submit(scheduled)
    }

    func submit(_ request: ScheduledRequest) {
        do { try scheduler.submit(request) } catch { fail(request.id, EngineError.invalid(["\(error)"])) }
    }

    private func cancel(_ id: Int) {
        guard isKnown(id) else { return }
        metrics.cancelled += 1
        end(id, CancellationError())
    }

    func fail(_ id: Int, _ error: any Error) {
        guard isKnown(id) else { return }
        metrics.failed += 1
        end(id, error)
    }

    /// True where a request, or a part of one, is worked on. A request is known by its first part until its last ends.
    private func isKnown(_ id: Int) -> Bool { sequences[id] != nil || parts[id] != nil }

    private func end(_ id: Int, _ error: any Error) {
        guard let request = parts[id] else { return end(id, .failure(error)) }
        for part in request.ids { forget(part: part) }
        wake(request.work.fail(error))
        close(request)
    }

    // MARK: Requests of several parts

    /// One part less; with the last one the request is done.
    func finishPart(_ request: EngineParts) {
        guard request.finishPart() else { return }
        metrics.finished += 1
        close(request)
    }

    /// Lets go of what a part holds.
    func forget(part id: Int) {
        scheduler.cancel(id)
        forget(search: id)
    }

    private func close(_ request: EngineParts) {
        for id in request.ids { parts[id] = nil }
        mailbox.begun(request.ids.lowerBound)
    }

    // MARK: Ends

    func finish(_ id: Int, _ finish: FinishReason) {
        guard let own = sequences[id] else { return }
        metrics.finished += 1
        end(id, .success(.init(finish: finish, generatedTokens: own.generated, preemptions: own.preemptions)))
    }

    private func end(_ id: Int, _ result: Result<EngineUsage, any Error>) {
        guard let own = sequences.removeValue(forKey: id) else { return }
        if own.request.deadline != nil { deadlines -= 1 }
        scheduler.cancel(id)
        cache.remove(SequenceID(id))
        draft?.forget(id)
        mailbox.begun(id)
        wake(own.output.finish(result))
    }

    private func expire() {
        guard deadlines > 0 else { return }
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

    /// Wakes all readers of a step at once.
    private func publish() {
        metrics.running = scheduler.running.count
        (metrics.usedBlocks, metrics.rememberedBlocks) = (0, 0)
        for table in steps.layout.tables.indices {
            let (free, remembered) = (scheduler.ledger.free(table), scheduler.ledger.remembered(table))
            metrics.usedBlocks = max(metrics.usedBlocks, scheduler.ledger.capacity(table) - free - remembered)
            metrics.rememberedBlocks = max(metrics.rememberedBlocks, remembered)
        }
        metrics.cacheBytes = blocks.pool.heldBytes + (draft?.heldBytes ?? 0)
        (metrics.held.requests, metrics.held.scheduled) = (sequences.count + parts.count, scheduler.count)
        (metrics.held.cached, metrics.held.drafted) = (cache.sequenceCount, draft?.sequences ?? 0)
        mailbox.publish(metrics)
        for reader in readers { reader.resume() }
        readers.removeAll(keepingCapacity: true)
    }
}
