package import MartletDistributed
import MartletJSON
package import MartletLayers
import MartletModels
package import MartletTensors

/// A model of any family that learns: forward, loss, gradients, optimizer.
///
/// The weights that are trained are f32 and are read anew in every pass. Without a loss of its own, a model learns to
/// predict tokens: a decoder's targets are the next ones, an encoder-decoder's those of its decoder, an encoder's the
/// tokens behind the masks.
package final class ModelLearner: Learner {
    package struct Settings: Sendable {
        package var dropout = DropoutShares()
        package var recomputation = TrainingPass.Recomputation.none
        /// What is multiplied and what waits for the backward pass: f32, or bf16 with f32 sums. All else is f32 in any
        /// case.
        package var precision = ElementType.f32
        package var loss = LossForm()
        /// The weight of the loss that spreads tokens evenly over experts (arXiv:2101.03961).
        package var expertBalance: Float = 0
        /// The loss of labelled batches; nil: tokens are predicted.
        package var task: (any TaskLoss)?
        /// Whether vectors of texts are compared over all passes of a step, where the task is a ``VectorLoss``.
        package var comparesWholeSteps = false
        /// The share of the inputs of adapters that become zero.
        package var adapterDropout: Float = 0
        package var selection = TrainableParameters.Selection()
        /// How much of the average of weights each update keeps; nil: no average is kept.
        package var average: Double?

        package init() {}
    }

    private let model, frozen: Model
    private let head, frozenHead: TokenHeadLayer?
    package let parameters: TrainableParameters
    /// Of the passes since the last update.
    package let gradients: Gradients
    private let optimizer: any Optimizer
    private let average: WeightAverage?
    private var settings: Settings
    private var updates = 0
    private var shards = GradientTree()

    /// - Parameters:
    ///   - source: where the first weights come from: a seed, or a checkpoint.
    ///   - factors: where those of adapters come from; `source` when nil.
    ///   - optimizer: made for the parameters given.
    /// - Throws: ``UnsupportedArchitecture`` where the model cannot be run, or has no head that predicts tokens.
    package init(
        _ architecture: Architecture, from source: any ParameterSource, factors: (any ParameterSource)? = nil,
        _ settings: Settings, on device: Device,
        optimizer: (TrainableParameters) -> any Optimizer
    ) throws {
        let inventory = try architecture.inventory()
        parameters = TrainableParameters(
            inventory, from: source, settings.selection, factors: factors, operands: settings.precision, on: device)
        guard !parameters.names.isEmpty else { throw RunError("train.freeze leaves no parameter to train") }
        gradients = Gradients(parameters.shapes, on: device)
        self.optimizer = optimizer(parameters)
        average = settings.average.map { [parameters] in WeightAverage(of: parameters, keeping: Float($0)) }
        self.settings = settings
        model = try Model(architecture, Scope(parameters))
        frozen = try Model(architecture, Scope(parameters.untracked))
        (head, frozenHead) = (model.tokenHead, frozen.tokenHead)
        guard head != nil || settings.task != nil else {
            throw UnsupportedArchitecture(
                "this model has no head that predicts tokens, which this objective needs; name one of labelled texts")
        }
    }

    /// The learner of a recipe, with its first weights.
    ///
    /// - Throws: also ``RunError`` for what cannot be trained, and what reading a checkpoint throws.
    package convenience init(_ preparation: RunPreparation, on device: Device) throws {
        let recipe = preparation.recipe
        var settings = Settings()
        settings.precision = recipe.precision == .bf16 ? .bf16 : .f32
        settings.dropout = try DropoutShares(recipe, preparation.config)
        settings.expertBalance = Float(recipe.expertBalance)
        settings.recomputation = recipe.recomputation ? .byLayer : .none
        settings.loss.smoothing = Float(recipe.labelSmoothing)
        settings.average = recipe.training.average
        settings.task = recipe.objective.labelled.flatMap { objective in
            preparation.labelled.flatMap {
                objective.loss($0.names, settings.loss, preparation.sentences, recipe.teacher?.distillation)
            }
        }
        settings.comparesWholeSteps = recipe.objective.labelled?.comparesWholeSteps ?? false
        settings.adapterDropout = Float(recipe.adapters?.dropout ?? 0)
        settings.selection = try TrainedParts(recipe.training, preparation.architecture.inventory()).selection
        if let configuration = recipe.adapters, let (targets, layout) = try preparation.adapters {
            let hasNewHead = preparation.labelled != nil
            settings.selection.adapters = layout
            settings.selection.isTrained = { entry in
                (hasNewHead && TrainedParts.isLabelHead(entry.name)) || targets.isSaved(entry.name, configuration)
            }
        }
        let fresh = SeededInitialiser(seed: recipe.seed, device: device)
        var (source, checkpoint): (any ParameterSource, CheckpointSource?) = (fresh, nil)
        if case .directory(let path) = recipe.model {
            let file = try ModelFile(path: path)
            if preparation.labelled == nil {
                let stored = CheckpointSource(try file.checkpoint(), device: device)
                (source, checkpoint) = (stored, stored)
                if let layers = recipe.layers { source = KeptLayers(stored, layers) }
            } else {
                let (held, new) = try file.checkpoint(under: preparation.architectureOfOrigin)
                let stored = CheckpointSource(held, device: device)
                (source, checkpoint) = (NewHeadSource(stored, new: new, from: fresh), stored)
                if let layers = recipe.layers { source = KeptLayers(source, layers) }
            }
        }
        try self.init(preparation.architecture, from: source, factors: fresh, settings, on: device) {
            OptimizerChoice.make(recipe.optimizer, $0)
        }
        if let failure = checkpoint?.failure { throw failure }
        if let objective = recipe.objective.labelled, objective.kind == .preferences, let data = preparation.labelled {
            let reference = reference(data.training + data.validation, rows: recipe.batchTokens)
            self.settings.task = PreferenceLoss(beta: objective.beta, reference: reference)
        }
    }

    /// What the model says of both answers of each example before it learns: also that of a resumed run, which is
    /// restored afterwards.
    private func reference(_ examples: [Example], rows: Int) -> [Int: (chosen: Double, rejected: Double)] {
        guard let frozenHead else { return [:] }
        var reference: [Int: (chosen: Double, rejected: Double)] = [:]
        for batch in LabelledStream.batches(of: examples, .init(rows: rows, seed: 0)) {
            let hidden = frozen.hidden(batch, nil, on: parameters.device)
            let found = PreferenceLoss.logProbabilities(frozenHead, hidden, batch)
            for (index, label) in batch.labels.enumerated() {
                guard case .preference(let number) = label else { continue }
                reference[number] = (found[2 * index], found[2 * index + 1])
            }
        }
        return reference
    }

    package var weights: [(name: String, tensor: Tensor)] {
        parameters.names.indices.map { (parameters.names[$0], parameters[$0]) } + parameters.constants
    }
    package var optimizerState: [(name: String, tensor: Tensor)] { optimizer.state + (average?.named ?? []) }

    /// What others are to use: the average of the weights where one is kept, and what is not trained.
    package var exported: [(name: String, tensor: Tensor)] {
        guard let average else { return weights + parameters.untouched }
        return zip(parameters.names, average.tensors).map { ($0, $1) } + parameters.constants + parameters.untouched
    }
    package var parameterCount: Int { parameters.shapes.reduce(0) { $0 + $1.elements } }

    package func restore(weights: [String: Tensor], optimizerState: [String: Tensor], updates: Int) throws {
        let learnt = parameters.names.indices.map { (name: parameters.names[$0], tensor: parameters[$0]) }
        for (held, kind) in [(learnt, weights), (self.optimizerState, optimizerState)] {
            for (name, tensor) in held {
                guard let stored = kind[name], stored.shape == tensor.shape, stored.type == .f32 else {
                    throw RunError(
                        "the checkpoint holds no \(name.quoted) of \(tensor.shape); is its recipe another one?")
                }
                tensor.overwrite(with: stored, adding: false)
            }
        }
        self.updates = updates
    }

    // MARK: - Passes

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
        let vectors = passes.map { batch, seed in
            task.vectors(model.hidden(batch, pass(seed: seed), on: device), batch).untracked
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
            let own = task.vectors(model.hidden(batch, pass(seed: seed), on: device), batch)
            var flow = GradientFlow(into: gradients, on: device)
            flow.add(slopes.rows(first..<first + own.shape[0]), to: own.node)
            flow.run(from: [own.node].compactMap(\.self))
            first += own.shape[0]
        }
        return result.loss
    }

    package func accumulate(_ batch: Batch, seed: UInt64) throws -> Double {
        let pass = pass(seed: seed)
        let hidden = model.hidden(batch, pass, on: parameters.device)
        var flow = GradientFlow(into: gradients, on: parameters.device)
        if let task = settings.task {
            let result = task(model.head, hidden, batch, dropout: pass.headDropout, &flow)
            flow.run(from: result.roots)
            return result.loss
        }
        guard let head else { return 0 }
        let (sums, root) = head.loss(hidden, batch.targets, settings.loss, &flow)
        if let root { flow.run(from: [root]) }
        return sums.loss
    }

    package func loss(of batch: Batch) throws -> Double {
        let hidden = frozen.hidden(batch, nil, on: parameters.device)
        if let task = settings.task { return measured(task, hidden, batch).loss }
        return frozenHead?.loss(hidden, batch.targets, LossForm()).loss ?? 0
    }

    /// What the task says of an untracked pass: nothing flows.
    private func measured(_ task: any TaskLoss, _ hidden: Tensor, _ batch: Batch) -> TaskResult {
        var flow = GradientFlow(into: gradients, on: parameters.device)
        return task(frozen.head, hidden, batch, dropout: nil, &flow)
    }

    package func evaluate(_ batches: [Batch]) throws -> Evaluation {
        average?.exchange()
        defer { average?.exchange() }
        var (loss, targets) = (0.0, 0)
        var results: [(result: TaskResult, batch: Batch)] = []
        for batch in batches {
            targets += batch.targetCount
            guard let task = settings.task else {
                loss += try self.loss(of: batch)
                continue
            }
            let result = measured(task, frozen.hidden(batch, nil, on: parameters.device), batch)
            loss += result.loss
            results.append((result, batch))
        }
        return Evaluation(
            loss: loss / Double(max(1, targets)),
            measures: results.isEmpty ? [] : settings.task?.measures(results) ?? [])
    }

    // MARK: - Gradients

    package func endShard() { shards.take(gradients, on: parameters.device) }

    package func sumShards(over communicator: any Communicator) throws(CommunicationError) {
        if !shards.isEmpty { shards.give(to: gradients) }
        guard communicator.size > 1 else { return }
        let sum = gradients.all
        try unsafe communicator.sum(
            UnsafeMutableBufferPointer(start: sum.mutableFloats, count: gradients.count), .gradients)
    }

    package func gradientNorm(scale: Float) -> Double {
        let held = parameters.shapes.indices.filter { gradients.holds($0) }
        return held.reduce(0.0) { $0 + gradients[$1].sumOfSquares() }.squareRoot() * Double(abs(scale))
    }

    package func firstNonFinite() -> String? {
        let indices = parameters.names.indices
        let gradient = indices.first { gradients.holds($0) && !gradients[$0].isFinite }
        if let gradient { return "the gradient of \(parameters.names[gradient])" }
        return indices.first { !parameters[$0].isFinite }.map { parameters.names[$0] }
    }

    package func update(learningRate: Float, scale: Float) {
        updates += 1
        optimizer.step(parameters, gradients, rate: learningRate, scale: scale, number: updates)
        average?.update()
        forgetGradients()
    }

    package func forgetGradients() {
        gradients.reset()
        shards = GradientTree()
    }
}

extension TrainingPass {
    /// Of what a labelling head reads; apart from both stacks' places.
    fileprivate var headDropout: Dropout? {
        var pass = self
        pass.stack = 2
        return pass.dropout(layer: -1, 0)
    }
}

extension Model {
    /// What reads the last hidden states.
    fileprivate var head: HeadLayer {
        switch self {
        case .decoder(let decoder): .tokens(decoder.head)
        case .encoder(let encoder): encoder.head
        case .encoderDecoder(let model): model.head
        }
    }

    /// What predicts tokens, where something does.
    fileprivate var tokenHead: TokenHeadLayer? {
        switch self {
        case .decoder(let decoder): decoder.head
        case .encoderDecoder(let model): model.head.tokens
        case .encoder(let encoder): encoder.head.tokens
        }
    }

    /// The states that the head reads, of every row that has a target or might have one.
    fileprivate func hidden(_ batch: Batch, _ training: TrainingPass?, on device: Device) -> Tensor {
        var (state, rows) = (Uncached(), batch.rows)
        rows.training = training
        switch self {
        case .decoder(let decoder): return decoder.hidden(rows, &state, on: device)
        case .encoder(let encoder): return encoder.hidden(rows, &state, on: device)
        case .encoderDecoder(let model):
            var decoderRows = batch.decoderRows ?? model.rereading(rows)
            decoderRows.training = training
            decoderRows.training?.stack = 1
            let source = model.encode(rows, &state, on: device)
            var decoderState = Uncached()
            return model.hidden(decoderRows, source: source, &decoderState, on: device)
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
