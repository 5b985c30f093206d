package import MartletDistributed
import MartletFormats
import MartletJSON
import MartletPlatform

/// The training loop: batches in, weights changed, everything written down so that nothing older than one interval can
/// be lost.
///
/// A run is a function of its settings, its learner's first weights and its data: stopped anywhere and resumed, it
/// gives the same bits. It installs no signal handler and prints nothing; who wants it to end early says so by
/// `shouldStop`, asked after each step.
package final class TrainingRun {
    package let folder: String
    package let settings: RunSettings
    package let store: CheckpointStore
    package private(set) var state: RunState
    private let learner: any Learner
    private let data: Prefetcher
    private let validation: [Batch]
    private let share: RankShare
    /// The log; nil on all ranks but the leader.
    private let log: RunLog?
    private let export: (TrainingRun) throws -> Void
    private let events: (RunEvent) -> Void
    private var savedStep: Int?
    private var skippedInTurn = 0
    private var lastDrawing = ContinuousClock.now
    private static let mostSkippedInTurn = 100

    /// - Parameters:
    ///   - state: where the run stands; the learner has been restored to it, and the stream begins at its cursor.
    ///   - communicator: the ranks that share each step; the leader alone writes.
    ///   - export: called after each checkpoint, to bring the model into a form that others read.
    /// - Throws: ``FileError`` when the log cannot be opened, ``RunError`` for ranks that do not divide the shards.
    package init(
        _ folder: String, _ settings: RunSettings, _ learner: any Learner, _ stream: any BatchStream,
        validation: [Batch],
        from state: RunState?, over communicator: any Communicator = Alone(),
        export: @escaping (TrainingRun) throws -> Void = { _ in },
        events: @escaping (RunEvent) -> Void = { _ in }
    ) throws {
        share = try RankShare(
            communicator, settings, zero: learner.zeroStage, stages: learner.stages, parts: learner.parts)
        (self.folder, self.settings, self.learner, self.validation) = (folder, settings, learner, validation)
        (self.export, self.events) = (export, events)
        store = CheckpointStore(folder + "/checkpoints")
        if share.isLeader {
            try Folder.make(folder)
            store.removeUnfinished()
        }
        savedStep = state?.step
        self.state = state ?? RunState(cursor: stream.cursor)
        log = share.isLeader ? try RunLog(folder + "/log.jsonl", upTo: self.state.step) : nil
        data = Prefetcher(stream)
    }

    package var records: [StepRecord] { log?.records ?? [] }

    /// Goes on until all steps are done, the validation loss stops falling, or `shouldStop` says so.
    ///
    /// - Throws: ``RunError`` naming the tensor that is not finite; ``DataError``; what saving the last checkpoint
    ///   throws.
    package func run(shouldStop: () -> Bool = { false }) throws -> RunSummary {
        var end = RunSummary.End.done
        if state.step == 0, let name = try learner.firstNonFinite() {
            throw RunError("\(name) of the model to be trained is not finite: its file is damaged, or was never right")
        }
        try checkMetric()
        if savedStep == nil { try save() } else if share.isLeader { try export(self) }
        if hasRunOutOfPatience { return RunSummary(end: .early, state: state) }
        while state.step < settings.steps {
            let improved = try step()
            let isLast = state.step == settings.steps
            if hasRunOutOfPatience { end = .early } else if try !isLast && share.any(shouldStop()) { end = .stopped }
            if isLast || end != .done {
                try save()
                break
            }
            if improved || state.step % settings.checkpoints.every == 0 {
                do { try save() } catch { tell(.warning("step \(state.step) could not be saved: \(error)")) }
            }
        }
        draw()
        return RunSummary(end: end, state: state)
    }

    private var hasRunOutOfPatience: Bool {
        settings.evaluation.patience > 0 && state.evaluationsSinceBest >= settings.evaluation.patience
    }

    // MARK: - A step

    /// - Returns: whether an evaluation found the lowest loss so far.
    private func step() throws -> Bool {
        let began = ContinuousClock.now
        let number = state.step
        let (loss, targets) = try accumulate(number)
        let scale = Float(1 / Double(max(1, targets)))
        let norm = try learner.gradientNorm(scale: scale)
        let rate = settings.learningRate * Double(settings.schedule.share(at: number))
        var record = StepRecord(
            step: number + 1, loss: loss / Double(max(1, targets)), learningRate: rate, tokens: state.tokens,
            seconds: 0,
            gradientNorm: norm)
        if norm.isFinite && loss.isFinite {
            // As torch.nn.utils.clip_grad_norm_ does it.
            let clip = settings.clip.map { min(1, $0 / (norm + 1e-6)) } ?? 1
            try learner.update(learningRate: Float(rate), scale: scale * Float(clip))
            state.updates += 1
            skippedInTurn = 0
        } else {
            record.skipped = try skip(number + 1)
        }
        state.step = number + 1
        let improved = try evaluate(&record)
        state.seconds += (ContinuousClock.now - began).seconds
        record.seconds = state.seconds
        do { try log?.append(record) } catch { tell(.warning("\(error)")) }
        tell(.step(record))
        drawNowAndThen()
        return improved
    }

    /// The passes of a step: the gradients of all of them, their summed loss and their targets.
    ///
    /// Every rank draws every pass and computes its own: no data is sent, and there is one cursor.
    private func accumulate(_ number: Int) throws -> (loss: Double, targets: Int) {
        if learner.comparesWholeSteps { return try compare(number) }
        var losses = [Double](repeating: 0, count: settings.accumulation)
        var targets = 0
        if learner.stages > 1 { try accumulateInStages(number, &losses, &targets) }
        for first in stride(
            from: 0, to: learner.stages > 1 ? 0 : settings.accumulation,
            by: share.isInRounds ? share.mesh.lanes : 1)
        {
            if share.isInRounds {
                try accumulateRound(number, first, &losses, &targets)
                continue
            }
            let batch = try nextBatch(&targets)
            guard share.owns(pass: first) else { continue }
            // Behind the last of counted epochs there is nothing.
            if batch.examples > 0 {
                losses[first] = try learner.accumulate(batch, seed: seed(step: number, pass: first))
            }
            if share.ownShards > 1, share.endsShard(first) { learner.endShard() }
        }
        if settings.shards > 1 { try learner.sumShards() }
        losses = try share.communicator.shared(losses, .agreement, owner: share.owner(ofPass:))
        return (losses.reduce(0, +), targets)
    }

    /// The passes of this rank's lane, all at once, in its pipeline.
    private func accumulateInStages(_ number: Int, _ losses: inout [Double], _ targets: inout Int) throws {
        var shards: [[(batch: Batch, seed: UInt64)]] = [[]]
        var own: [Int] = []
        for pass in 0..<settings.accumulation {
            let batch = try nextBatch(&targets)
            guard share.owns(pass: pass) else { continue }
            if batch.examples > 0 {
                shards[shards.count - 1].append((batch, seed(step: number, pass: pass)))
                own.append(pass)
            }
            if share.endsShard(pass), shards.count < share.ownShards { shards.append([]) }
        }
        for (pass, loss) in zip(own, try learner.accumulate(shards: shards)) { losses[pass] = loss }
    }

    private func nextBatch(_ targets: inout Int) throws -> Batch {
        let item = try data.next()
        targets += item.batch.targetCount
        state.tokens += item.batch.tokens
        if item.batch.examples > 0 { state.cursor = item.cursor }
        return item.batch
    }

    /// Accumulates one pass of every lane, at once: one whose own has nothing to learn takes part with another's.
    private func accumulateRound(_ number: Int, _ first: Int, _ losses: inout [Double], _ targets: inout Int) throws {
        let passes = first..<first + share.mesh.lanes
        let batches = try passes.map { _ in try nextBatch(&targets) }
        let own = first + share.lane
        if batches[own - first].targetCount > 0 {
            losses[own] = try learner.accumulate(batches[own - first], seed: seed(step: number, pass: own))
        } else if let other = passes.first(where: { batches[$0 - first].targetCount > 0 }) {
            try learner.accompany(batches[other - first], seed: seed(step: number, pass: other))
        } else {
            learner.skipRound()
        }
    }

    /// The passes of a step whose examples are compared with each other across passes.
    private func compare(_ number: Int) throws -> (loss: Double, targets: Int) {
        var passes: [(batch: Batch, seed: UInt64)] = []
        for pass in 0..<settings.accumulation {
            let item = try data.next()
            state.tokens += item.batch.tokens
            guard item.batch.examples > 0 else { continue }
            state.cursor = item.cursor
            passes.append((item.batch, seed(step: number, pass: pass)))
        }
        let loss = try learner.accumulate(step: passes)
        return (loss, passes.reduce(0) { $0 + $1.batch.targetCount })
    }

    /// A seed of its own for every pass of the run, whatever happened before.
    private func seed(step: Int, pass: Int) -> UInt64 {
        Fingerprint.mixed(settings.seed ^ Fingerprint.mixed(UInt64(step) << 24 | UInt64(pass)))
    }

    /// Skips a step that is not finite, or throws where the settings say so.
    ///
    /// - Returns: the name of the tensor.
    private func skip(_ step: Int) throws -> String {
        let name = try learner.firstNonFinite() ?? "the loss"
        let saved = savedStep.map { "the checkpoint of step \($0) is whole" } ?? "there is no checkpoint yet"
        guard settings.nonFinite == .skip else {
            throw RunError(
                "step \(step): \(name) is not finite; \(saved). Lower the learning rate, or set non_finite to skip")
        }
        skippedInTurn += 1
        guard skippedInTurn < TrainingRun.mostSkippedInTurn else {
            throw RunError("step \(step): \(name) is not finite in \(skippedInTurn) steps in turn; \(saved)")
        }
        learner.forgetGradients()
        tell(.warning("step \(step) skipped: \(name) is not finite"))
        return name
    }

    // MARK: - Evaluation

    private func evaluate(_ record: inout StepRecord) throws -> Bool {
        let isDue = settings.evaluation.every > 0 && state.step % settings.evaluation.every == 0
        guard !validation.isEmpty, isDue || state.step == settings.steps else { return false }
        let found = try evaluation()
        (record.validationLoss, record.measures) = (found.loss, found.measures)
        let score = try score(found)
        let isBest = score.isFinite && score > state.best?.score ?? -.infinity
        if isBest {
            state.best = .init(loss: found.loss, step: state.step, score: score)
            state.evaluationsSinceBest = 0
        } else {
            state.evaluationsSinceBest += 1
        }
        tell(.evaluated(step: state.step, found, isBest: isBest))
        return isBest
    }

    /// The score that decides which model is the best: the measure that the settings name, or the loss, where less is
    /// better.
    private func score(_ evaluation: Evaluation) throws(RunError) -> Double {
        guard let metric = settings.evaluation.metric, !metric.hasSameBytes(as: "loss") else { return -evaluation.loss }
        if let measure = evaluation.measures.first(where: { $0.name.hasSameBytes(as: metric) }) { return measure.value }
        let known = (["loss"] + evaluation.measures.map(\.name)).joined(separator: ", ")
        throw RunError("evaluation.metric is \(metric.quoted), but this objective measures \(known)")
    }

    /// Checks by one batch that the measure exists which the settings name: better before the first step than behind
    /// many.
    private func checkMetric() throws {
        guard settings.evaluation.metric != nil, let batch = validation.first else { return }
        let found = learner.measuresMore ? try learner.evaluate([batch]) : Evaluation(loss: 0)
        // A batch without a label says nothing of measures.
        if !learner.measuresMore || !found.measures.isEmpty { _ = try score(found) }
    }

    /// The mean loss over all targets of the validation batches.
    package func validationLoss() throws -> Double { try evaluation().loss }

    /// The evaluation on the validation batches. Several ranks compute a share of the losses each, all at once; what
    /// more is measured takes all batches, so that each rank computes all.
    private func evaluation() throws -> Evaluation {
        let communicator = share.communicator
        guard communicator.size > 1, !learner.measuresMore else { return try learner.evaluate(validation) }
        var losses = [Double](repeating: 0, count: validation.count)
        try learner.withAverage {
            for first in stride(from: 0, to: validation.count, by: share.mesh.lanes) {
                let index = min(first + share.lane, validation.count - 1)
                losses[index] = try learner.loss(of: validation[index])
            }
        }
        losses = try communicator.shared(losses, .evaluation, owner: share.owner(ofBatch:))
        let targets = validation.reduce(0) { $0 + $1.targetCount }
        return Evaluation(loss: losses.reduce(0, +) / Double(max(1, targets)))
    }

    // MARK: - What is written down

    /// Writes a checkpoint of this step, each rank what it holds, then lets older ones go.
    private func save() throws {
        guard savedStep != state.step else { return }
        try store.write(learner, state, over: share.communicator)
        savedStep = state.step
        guard share.isLeader else { return }
        store.prune(keep: settings.checkpoints.keep, best: state.best?.step)
        try export(self)
        events(.saved(step: state.step))
    }

    private func tell(_ event: RunEvent) { if share.isLeader { events(event) } }

    private func drawNowAndThen() {
        guard (ContinuousClock.now - lastDrawing).seconds >= 5 else { return }
        draw()
    }

    private func draw() {
        lastDrawing = .now
        guard let log else { return }
        let title = folder.split(separator: "/").last.map(String.init) ?? folder
        let svg = Curves.svg(log.records, title: title)
        do { try writeFile(Array(svg.utf8), to: folder + "/curves.svg") } catch { tell(.warning("\(error)")) }
    }
}
