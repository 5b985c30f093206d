import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The thread of an engine: drain the mailbox, plan a step, run it, choose tokens, commit, publish.
final class EngineLoop {
    /// A request that is known to the scheduler.
    private struct Active {
        var request: EngineRequest
        let output: EngineOutput
        let submitted: ContinuousClock.Instant
        var sampler: Sampler
        let promptCount: Int
        /// How far the text is known to reach, for rotations that depend on it.
        var extent: Int
        var generated = 0
        var shared = 0
        var preemptions = 0
        var begun: ContinuousClock.Instant?
        var first: ContinuousClock.Instant?
    }

    private let architecture: Architecture
    private let steps: StepEngine
    private let options: EngineOptions
    private let mailbox: Mailbox
    private var blocks: EngineBlocks
    private var scheduler: Scheduler
    private var cache: KeyValueCache
    private var active: [Int: Active] = [:]
    private var rows: [StepRow] = []
    private var readers: [CheckedContinuation<Void, Never>] = []
    private var metrics = EngineMetrics()
    /// Rows that a second computes, as far as is known.
    private var rowsPerSecond = 2_000.0

    init(
        _ architecture: Architecture, _ steps: StepEngine, _ options: EngineOptions, _ mailbox: Mailbox,
        on device: Device
    ) {
        (self.architecture, self.steps) = (architecture, steps)
        (self.options, self.mailbox) = (options, mailbox)
        blocks = EngineBlocks(steps.layout, options, context: architecture.context, on: device)
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
            let mail = mailbox.collect(waiting: active.isEmpty)
            for job in mail.jobs { job() }
            if mail.isStopped {
                for letter in mail.letters { wake(letter.output.finish(.failure(EngineError.stopped))) }
                for id in Array(active.keys) { fail(id, EngineError.stopped) }
                return publish()
            }
            for letter in mail.letters { take(letter) }
            for id in mail.cancelled { cancel(id) }
            expire()
            if !active.isEmpty { step() }
            publish()
        }
    }

    // MARK: Requests

    private func take(_ letter: Mailbox.Letter) {
        let request = letter.request
        active[letter.id] = Active(
            request: request, output: letter.output, submitted: letter.submitted,
            sampler: Sampler(request.sampling, prompt: request.tokens), promptCount: request.tokens.count,
            extent: request.tokens.count)
        guard request.maximumTokens > 0 else { return finish(letter.id, .length) }
        schedule(letter.id, request.tokens)
    }

    private func schedule(_ id: Int, _ tokens: [Int32]) {
        guard let own = active[id] else { return }
        var scheduled = ScheduledRequest(
            id: id, tokens: tokens, maximumNewTokens: own.request.maximumTokens - own.generated)
        (scheduled.tenant, scheduled.priority) = (own.request.tenant, own.request.priority)
        if !architecture.keysDependOnLength { scheduled.namespace = own.request.namespace }
        do { try scheduler.submit(scheduled) } catch { fail(id, EngineError.invalid(["\(error)"])) }
    }

    private func cancel(_ id: Int) {
        guard active[id] != nil else { return }
        metrics.cancelled += 1
        end(id, .failure(CancellationError()))
    }

    private func fail(_ id: Int, _ error: any Error) {
        metrics.failed += 1
        end(id, .failure(error))
    }

    private func finish(_ id: Int, _ finish: FinishReason) {
        guard let own = active[id] else { return }
        let now = ContinuousClock.now
        let (begun, first) = (own.begun ?? now, own.first ?? now)
        metrics.finished += 1
        end(
            id,
            .success(
                EngineUsage(
                    finish: finish, promptTokens: own.promptCount, sharedTokens: own.shared,
                    generatedTokens: own.generated, preemptions: own.preemptions,
                    waitingSeconds: (begun - own.submitted).seconds,
                    promptSeconds: (first - begun).seconds,
                    generationSeconds: (now - first).seconds)))
    }

    private func end(_ id: Int, _ result: Result<EngineUsage, any Error>) {
        guard let own = active.removeValue(forKey: id) else { return }
        scheduler.cancel(id)
        cache.remove(SequenceID(id))
        mailbox.begun(id)
        wake(own.output.finish(result))
    }

    private func expire() {
        guard active.values.contains(where: { $0.request.deadline != nil }) else { return }
        let now = ContinuousClock.now
        for (id, own) in active where own.request.deadline.map({ $0 <= now }) ?? false { fail(id, EngineError.expired) }
    }

    // MARK: A step

    private func step() {
        let began = ContinuousClock.now
        let budget = Int(min(2_048, max(16, options.stepMilliseconds / 1_000 * rowsPerSecond)))
        let schedule = scheduler.plan(budget: budget)
        prepare(schedule, began)
        rows.removeAll(keepingCapacity: true)
        for run in schedule.runs { append(run) }
        guard !rows.isEmpty else { return }
        let logits = steps.logits(rows, &cache)
        commit(schedule, logits)
        let seconds = (ContinuousClock.now - began).seconds
        if rows.count > options.maximumSequences {
            rowsPerSecond += (Double(rows.count) / max(seconds, 1e-6) - rowsPerSecond) / 4
        }
        metrics.steps += 1
        metrics.rows += rows.count
        metrics.busySeconds += seconds
        metrics.lastStep = .now
    }

    /// Requests begin and are preempted; blocks change hands.
    private func prepare(_ schedule: StepSchedule, _ now: ContinuousClock.Instant) {
        for id in schedule.preempted {
            cache.remove(SequenceID(id))
            active[id]?.preemptions += 1
            metrics.preemptions += 1
        }
        // Before anything is written: a block may be the source of a copy and somebody else's next.
        for copy in schedule.copies { blocks.copy(copy) }
        for (id, known) in schedule.admitted {
            mailbox.begun(id)
            let sequence = SequenceID(id)
            cache.add(sequence)
            for (table, numbers) in scheduler.blocks(of: id).enumerated() {
                for (index, number) in numbers.enumerated().prefix(BlockLayout.blocks(for: known)) {
                    guard let number else { continue }
                    cache.lend(blocks.block(number, of: table), to: sequence, table: table, at: index)
                }
            }
            cache.resume(sequence, at: known)
            if active[id]?.begun == nil {
                active[id]?.begun = now
                active[id]?.shared = known
                metrics.sharedTokens += known
            }
        }
    }

    /// The rows of a run, in blocks that are lent to it.
    private func append(_ run: StepSchedule.Run) {
        guard let own = active[run.id] else { return }
        let id = SequenceID(run.id)
        let tokens = scheduler.tokens(of: run.id)
        for (table, numbers) in scheduler.blocks(of: run.id).enumerated() {
            let last = BlockLayout.blocks(for: run.positions.upperBound)
            // A block that begins in this run is new: what it holds is another request's.
            for index in BlockLayout.blocks(for: run.positions.lowerBound)..<last {
                guard index < numbers.count, let number = numbers[index] else { continue }
                let block = blocks.block(number, of: table)
                block.clear()
                cache.lend(block, to: id, table: table, at: index)
            }
        }
        for position in run.positions {
            rows.append(
                StepRow(
                    token: tokens[position], position: position, extent: own.extent, sequence: id,
                    isWanted: run.wanted.contains(position)))
        }
        metrics.promptTokens += max(0, min(own.promptCount, run.positions.upperBound) - run.positions.lowerBound)
    }

    /// Chooses a token for every wanted row, and tells the scheduler.
    private func commit(_ schedule: StepSchedule, _ logits: Tensor?) {
        var outcomes: [StepOutcome] = []
        var choices: [(id: Int, row: SamplingRow)] = []
        var ended: [(id: Int, reason: FinishReason)] = []
        var failed: [(id: Int, error: any Error)] = []
        for run in schedule.runs {
            guard active[run.id] != nil else { continue }
            guard !run.wanted.isEmpty else {
                outcomes.append(StepOutcome(id: run.id, accepted: run.positions.count))
                continue
            }
            do {
                try choices.append((run.id, choice(run)))
            } catch {
                failed.append((run.id, error))
                choices.append((run.id, SamplingRow(Sampler(.greedy), position: 0)))
            }
        }
        let counts = Dictionary(uniqueKeysWithValues: schedule.runs.map { ($0.id, $0.positions.count) })
        let chosen = logits.map { SamplingRow.next(choices.map(\.row), $0) } ?? []
        for ((id, _), token) in zip(choices, chosen) where !failed.contains(where: { $0.id == id }) {
            let reason = take(token, of: id)
            outcomes.append(
                StepOutcome(
                    id: id, accepted: counts[id] ?? 0, appended: reason?.appends ?? true ? [token.token] : [],
                    finished: reason != nil))
            if let reason { ended.append((id, reason.finish)) }
        }
        scheduler.commit(outcomes)
        for (id, error) in failed { fail(id, EngineError.unsatisfiable("\(error)")) }
        for (id, reason) in ended { finish(id, reason) }
        for outcome in outcomes where !outcome.finished { rereadOutgrown(outcome.id) }
    }

    private func choice(_ run: StepSchedule.Run) throws -> SamplingRow {
        guard var own = active[run.id] else { preconditionFailure("EngineLoop: request \(run.id) is not known") }
        let mask = try own.request.constraint?.allowed()
        active[run.id] = own
        return SamplingRow(
            own.sampler, position: own.promptCount + own.generated, mask: mask, scored: own.request.scored)
    }

    /// Takes note of a token.
    ///
    /// - Returns: why the text ends with it, if it does, and whether the token is part of the text.
    private func take(_ token: SampledToken, of id: Int) -> (finish: FinishReason, appends: Bool)? {
        guard let output = active[id]?.output else { return nil }
        if active[id]?.first == nil {
            let now = ContinuousClock.now
            active[id]?.first = now
            metrics.firstTokens += 1
            metrics.secondsToFirstToken += (now - (active[id]?.submitted ?? now)).seconds
        }
        if active[id]?.request.stopTokens.contains(token.token) == true { return (.stop, false) }
        active[id]?.sampler.append(token.token)
        active[id]?.generated += 1
        active[id]?.request.constraint?.append(token.token)
        metrics.generatedTokens += 1
        wake(output.append(token))
        if active[id]?.request.ending?.ends(with: token.token) == true { return (.stop, true) }
        if active[id]?.request.constraint?.isFinished == true { return (.stop, true) }
        guard let own = active[id], own.generated >= own.request.maximumTokens else { return nil }
        return (.length, true)
    }

    /// A text that has outgrown the length after which all of its positions rotate otherwise is read anew (LongRoPE).
    private func rereadOutgrown(_ id: Int) {
        guard let trained = architecture.rereadsBeyond, let own = active[id], own.extent <= trained else { return }
        let tokens = scheduler.tokens(of: id)
        guard tokens.count > trained else { return }
        scheduler.cancel(id)
        cache.remove(SequenceID(id))
        active[id]?.extent = tokens.count
        schedule(id, tokens)
    }

    // MARK: Results

    private func wake(_ reader: CheckedContinuation<Void, Never>?) { if let reader { readers.append(reader) } }

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
