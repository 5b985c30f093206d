import MartletLayers
import MartletModels
import MartletTensors

/// Forward passes, losses and gradients of batches.
extension ModelLearner {
    private func pass(seed: UInt64) -> TrainingPass {
        var pass = TrainingPass(
            dropout: settings.dropout.residual, seed: seed, expertBalance: settings.expertBalance,
            recomputation: settings.recomputation)
        pass.attentionDropout = settings.dropout.attention
        pass.activationDropout = settings.dropout.activation
        parameters.drop(adapterInputs: settings.adapterDropout, seed: seed)
        return pass
    }

    package var comparesWholeSteps: Bool { settings.comparesWholeSteps && settings.task is any VectorLoss }

    /// Compares the texts of all passes: their vectors first, without what a backward pass needs; the loss of all and
    /// its gradients by them; then each pass once more, its gradients flowing on (gradient caching, arXiv:2101.06983).
    /// Zeros are drawn by place and seed, so that a pass has the same bits both times.
    package func accumulate(step passes: [(batch: Batch, seed: UInt64)]) throws -> Double {
        guard let task = settings.task as? any VectorLoss, !passes.isEmpty else { return 0 }
        let device = parameters.device
        let vectors = try passes.map { batch, seed in
            task.vectors(try hidden(model, batch, pass(seed: seed)).states, batch).untracked
        }
        let joined = Tensor.joined(rowsOf: vectors)
        let all = Tensor(storage: joined.storage, shape: joined.shape, type: joined.type, device: device)
        let end = GradientNode(input: all.shape)
        var comparison = GradientFlow(into: gradients, on: device)
        let result = task.compare(all.tracked(by: end), Batch(joining: passes.map(\.batch)), &comparison)
        comparison.run(from: result.roots, stoppingAt: [end])
        guard let slopes = comparison.gradient(of: end) else { return result.loss }
        var first = 0
        for (batch, seed) in passes {
            let (hidden, source) = try hidden(model, batch, pass(seed: seed))
            let own = task.vectors(hidden, batch)
            var flow = GradientFlow(into: gradients, on: device)
            flow.add(slopes.rows(first..<first + own.shape[0]), to: own.node)
            flow.run(from: [own.node].compactMap(\.self), through: source)
            first += own.shape[0]
        }
        return result.loss
    }

    package func accumulate(_ batch: Batch, seed: UInt64) throws -> Double {
        try pass(learning: true) { try learn(batch, seed: seed) }
    }

    /// The last hidden states of a pass, which the ranks follow where they share its parameters; and the node of those
    /// of an encoder that a decoder reads.
    func hidden(
        _ model: Model, _ batch: Batch, _ training: TrainingPass?
    ) throws(RunError) -> (states: Tensor, source: GradientNode?) {
        var rows = model.rows(batch.rows, batch.decoderRows, training, sharding.stage >= 2 ? sharding : nil)
        if let rowTeam {
            try rowTeam.begin([rows.reading.count] + (batch.decoderRows.map { [$0.count] } ?? []))
            rows = (rowTeam.part(of: rows.reading), rowTeam.part(of: rows.writing))
        }
        let (handed, source) = model.run(0, of: whole, [], rows, on: parameters.device)
        return (handed[0], source)
    }

    /// Learns of one pass.
    private func learn(_ batch: Batch, seed: UInt64) throws -> Double {
        let pass = pass(seed: seed)
        let (hidden, source) = try hidden(model, batch, pass)
        var flow = GradientFlow(into: gradients, dividing: rowTeam, on: parameters.device)
        let (loss, roots) = loss(hidden, batch, pass, &flow)
        flow.run(from: roots, through: source)
        return loss
    }

    /// The summed loss of a pass, with its gradients in `flow`, which then runs from the roots.
    private func loss(
        _ hidden: Tensor, _ batch: Batch, _ pass: TrainingPass, _ flow: inout GradientFlow
    ) -> (loss: Double, roots: [GradientNode]) {
        if let task = settings.task {
            let result = task(model.head, hidden, batch, dropout: pass.headDropout, &flow)
            return (result.loss, result.roots)
        }
        guard let head else { return (0, []) }
        let (sums, root) = head.loss(hidden, among: rowTeam, batch.targets, settings.loss, &flow)
        return (sums.loss, [root].compactMap(\.self))
    }

    package func accompany(_ batch: Batch, seed: UInt64) throws {
        _ = try pass(learning: true, isIdle: true) { try learn(batch, seed: seed) }
    }
    package func skipRound() { sharding.skipRound() }

    package func accumulate(shards: [[(batch: Batch, seed: UInt64)]]) throws -> [Double] {
        guard let pipeline else { preconditionFailure("ModelLearner: no pipeline takes the passes of a step") }
        let learning = PipelineStage.Learning(model: model, pass: { self.pass(seed: $0) }) { hidden, pass, flow in
            self.loss(hidden, pass.batch, self.pass(seed: pass.seed), &flow)
        }
        return try pass(learning: true) { try pipeline.accumulate(shards, learning) }
    }

    package func loss(of batch: Batch) throws -> Double {
        if let task = settings.task { return try measured(task, batch).loss }
        if let pipeline {
            return try pass(learning: false) {
                try pipeline.hidden(frozen, batch).flatMap { frozenHead?.loss($0, batch.targets, LossForm()).loss } ?? 0
            }
        }
        return try pass(learning: false) {
            let states = try hidden(frozen, batch, nil).states
            let whole = rowTeam.map { states.wholeRows(of: $0, rows: batch.targets.count) } ?? states
            return frozenHead?.loss(whole, batch.targets, LossForm()).loss ?? 0
        }
    }

    /// The result of the task for an untracked pass: nothing flows.
    private func measured(_ task: any TaskLoss, _ batch: Batch) throws -> TaskResult {
        try pass(learning: false) {
            var flow = GradientFlow(into: gradients, on: parameters.device)
            return task(frozen.head, try hidden(frozen, batch, nil).states, batch, dropout: nil, &flow)
        }
    }

    package var measuresMore: Bool { settings.task != nil }

    package func withAverage<Result>(_ body: () throws -> Result) throws -> Result {
        guard let average else { return try body() }
        average.exchange()
        try gatherWeights()
        let result = try body()
        average.exchange()
        try gatherWeights()
        return result
    }

    package func evaluate(_ batches: [Batch]) throws -> Evaluation {
        try withAverage { try evaluateAsTheyAre(batches) }
    }

    private func evaluateAsTheyAre(_ batches: [Batch]) throws -> Evaluation {
        var (loss, targets) = (0.0, 0)
        var results: [(result: TaskResult, batch: Batch)] = []
        for batch in batches {
            targets += batch.targetCount
            guard let task = settings.task else {
                loss += try self.loss(of: batch)
                continue
            }
            let result = try measured(task, batch)
            loss += result.loss
            results.append((result, batch))
        }
        return Evaluation(
            loss: loss / Double(max(1, targets)),
            measures: results.isEmpty ? [] : settings.task?.measures(results) ?? [])
    }
}

extension TrainingPass {
    /// The dropout of what a labelling head reads; apart from both stacks' places.
    fileprivate var headDropout: Dropout? {
        var pass = self
        pass.stack = 2
        return pass.dropout(layer: -1, 0)
    }
}

extension Model {
    /// The head that reads the last hidden states.
    fileprivate var head: HeadLayer {
        switch self {
        case .decoder(let decoder): .tokens(decoder.head)
        case .encoder(let encoder): encoder.head
        case .encoderDecoder(let model): model.head
        }
    }

    /// The head that predicts tokens, where there is one.
    var tokenHead: TokenHeadLayer? {
        switch self {
        case .decoder(let decoder): decoder.head
        case .encoderDecoder(let model): model.head.tokens
        case .encoder(let encoder): encoder.head.tokens
        }
    }
}

extension HeadLayer {
    fileprivate var tokens: TokenHeadLayer? {
        switch self {
        case .tokens(let head), .pretraining(let head, _, _): head
        default: nil
        }
    }
}
