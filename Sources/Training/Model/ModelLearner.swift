package import MartletDistributed
import MartletJSON
package import MartletLayers
import MartletModels
package import MartletPlanning
package import MartletTensors

/// A model of any family that learns: forward, loss, gradients, optimizer.
///
/// The weights that are trained are f32 and are read anew in every pass. Without a loss of its own, a model learns to
/// predict tokens: a decoder's targets are the next ones, an encoder-decoder's those of its decoder, an encoder's the
/// tokens behind the masks.
package final class ModelLearner: Learner {
    private let model, frozen: Model
    private let head, frozenHead: TokenHeadLayer?
    package let parameters: TrainableParameters
    /// The gradients of the passes since the last update.
    package let gradients: Gradients
    private let sharding: ParameterSharding
    /// This rank's stage of a model that is cut into stages.
    private let pipeline: PipelineStage?
    private let optimizer: any Optimizer
    private let average: WeightAverage?
    private var settings: Settings
    /// The whole model as one run.
    private let whole: ModelRuns
    /// Passes of a step that this rank's lane computes, and the stages that it does so in.
    private let ownPasses: Int
    package let stages: Int
    private var updates = 0
    private var shards = GradientTree()

    /// - Parameters:
    ///   - source: where the first weights come from: a seed, or a checkpoint.
    ///   - factors: where those of adapters come from; `source` when nil.
    ///   - optimizer: made for the parameters given.
    /// - Throws: ``UnsupportedArchitecture`` where the model cannot be run, or has no head that predicts tokens.
    package init(
        _ architecture: Architecture, from source: any ParameterSource, factors: (any ParameterSource)? = nil,
        _ settings: Settings, over ranks: Ranks = Ranks(), on device: Device,
        optimizer: (ParameterParts) -> any Optimizer
    ) throws {
        let inventory = try architecture.inventory()
        let cut = try ModelLearner.cut(architecture, inventory, settings, ranks)
        let stage = ranks.mesh.stage(of: ranks.communicator.rank)
        parameters = TrainableParameters(
            inventory, from: source, settings.selection, factors: factors,
            holding: { cut?.isHeld($0, byStage: stage) ?? true }, operands: settings.precision, on: device)
        guard !parameters.names.isEmpty else { throw RunError("train.freeze leaves no parameter to train") }
        try cut?.check(parameters.entries, ranks)
        gradients = Gradients(parameters.shapes, holding: parameters.holds, on: device)
        let homes = parameters.entries.map { entry in cut.map { $0.stage(ofRun: $0.readers(of: entry)[0]) } ?? 0 }
        sharding = ParameterSharding(parameters, gradients, ranks, homes: homes)
        pipeline = cut.map { [parameters, gradients] in
            PipelineStage($0, parameters, gradients, over: ranks.communicator)
        }
        self.optimizer = optimizer(sharding.parts)
        average = settings.average.map { [sharding] in WeightAverage(of: sharding.parts, keeping: Float($0)) }
        self.settings = settings
        whole = ModelRuns(architecture)
        (ownPasses, stages) = (ranks.passes / ranks.mesh.lanes, ranks.mesh.stages)
        if architecture.seesSums {
            throw UnsupportedArchitecture(
                "LongT5 with transient-global attention is run but not trained: no gradients flow to sums of blocks")
        }
        model = try Model(architecture, Scope(parameters))
        frozen = try Model(architecture, Scope(parameters.untracked))
        (head, frozenHead) = (model.tokenHead, frozen.tokenHead)
        guard head != nil || settings.task != nil else {
            throw UnsupportedArchitecture(
                "this model has no head that predicts tokens, which this objective needs; name one of labelled texts")
        }
    }

    /// The cut of the model into stages over ranks; nil where each rank has all layers.
    ///
    /// - Throws: ``RunError`` for a model or an objective that is not trained so.
    private static func cut(
        _ architecture: Architecture, _ inventory: Inventory, _ settings: Settings, _ ranks: Ranks
    ) throws(RunError) -> PipelineCut? {
        guard ranks.mesh.stages > 1 else { return nil }
        guard settings.task == nil else {
            throw RunError(
                "pipeline= trains models that predict tokens; labelled texts are learnt from with data= and zero=")
        }
        return try PipelineCut(architecture, inventory.entries, settings.selection.adapters, ranks)
    }

    /// The learner of a recipe, with its first weights.
    ///
    /// - Throws: also ``RunError`` for what cannot be trained, and what reading a checkpoint throws.
    package convenience init(
        _ preparation: RunPreparation, over communicator: any Communicator = Alone(), _ layout: RankLayout = .init(),
        on device: Device
    ) throws {
        let recipe = preparation.recipe
        var ranks = Ranks()
        (ranks.communicator, ranks.layout, ranks.mesh) = (
            communicator, layout, try layout.mesh(ranks: communicator.size)
        )
        (ranks.passes, ranks.shards) = (recipe.accumulation, recipe.shards)
        try preparation.checkMemory(layout, ranks.mesh)
        ranks.cutsParameters = OptimizerChoice.isElementwise(recipe.optimizer)
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
        func rounded(_ stored: any ParameterSource, leaving new: Set<String> = []) -> any ParameterSource {
            recipe.weights.map { RoundedSource(stored, to: $0, leaving: new, on: device) } ?? stored
        }
        if case .directory(let path) = recipe.model {
            let file = try ModelFile(path: path)
            if preparation.labelled == nil {
                let stored = CheckpointSource(try file.checkpoint(), device: device)
                (source, checkpoint) = (rounded(stored), stored)
                if let layers = recipe.layers { source = KeptLayers(stored, layers) }
            } else {
                let (held, new) = try file.checkpoint(under: preparation.architectureOfOrigin)
                let stored = CheckpointSource(held, device: device)
                (source, checkpoint) = (rounded(NewHeadSource(stored, new: new, from: fresh), leaving: new), stored)
                if let layers = recipe.layers { source = KeptLayers(source, layers) }
            }
        }
        try self.init(preparation.architecture, from: source, factors: fresh, settings, over: ranks, on: device) {
            OptimizerChoice.make(recipe.optimizer, $0)
        }
        if let failure = checkpoint?.failure { throw failure }
        if let objective = recipe.objective.labelled, objective.kind == .preferences, let data = preparation.labelled {
            let reference = try reference(data.training + data.validation, rows: recipe.batchTokens)
            self.settings.task = PreferenceLoss(beta: objective.beta, reference: reference)
        }
    }

    /// The log-probabilities of both answers of each example before the model learns: also those of a resumed run,
    /// which is restored afterwards.
    private func reference(_ examples: [Example], rows: Int) throws -> [Int: (chosen: Double, rejected: Double)] {
        guard let frozenHead else { return [:] }
        var reference: [Int: (chosen: Double, rejected: Double)] = [:]
        for batch in LabelledStream.batches(of: examples, .init(rows: rows, seed: 0)) {
            let found = try sharding.pass(learning: false) {
                PreferenceLoss.logProbabilities(frozenHead, hidden(frozen, batch, nil).states, batch)
            }
            for (index, label) in batch.labels.enumerated() {
                guard case .preference(let number) = label else { continue }
                reference[number] = (found[2 * index], found[2 * index + 1])
            }
        }
        return reference
    }

    package var weights: [CheckpointArray] {
        trained(sharding.parts) + parameters.constants.map { CheckpointArray($0.name, $0.tensor) }
    }
    package var optimizerState: [CheckpointArray] { optimizer.state + (average?.named ?? []) }

    private func trained(_ parts: ParameterParts) -> [CheckpointArray] {
        parts.arrays("", parts.indices.map { parts.weight($0) })
    }

    /// The weights that others are to use: the average where one is kept, and what is not trained.
    ///
    /// - Precondition: this rank holds everything.
    package var exported: [(name: String, tensor: Tensor)] {
        let learnt = average?.named ?? trained(sharding.parts)
        return zip(parameters.names, learnt.map(\.tensor)).map { ($0, $1) } + parameters.constants
            + parameters.untouched
    }
    package var parameterCount: Int { parameters.shapes.reduce(0) { $0 + $1.elements } }

    package func restore(weights: [String: Tensor], optimizerState: [String: Tensor], updates: Int) throws {
        for array in trained(sharding.held) { try array.restore(from: weights) }
        for array in self.optimizerState { try array.restore(from: optimizerState) }
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
            task.vectors(hidden(model, batch, pass(seed: seed)).states, batch).untracked
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
            let (hidden, source) = hidden(model, batch, pass(seed: seed))
            let own = task.vectors(hidden, batch)
            var flow = GradientFlow(into: gradients, on: device)
            flow.add(slopes.rows(first..<first + own.shape[0]), to: own.node)
            flow.run(from: [own.node].compactMap(\.self), through: source)
            first += own.shape[0]
        }
        return result.loss
    }

    package var zeroStage: Int { sharding.stage }
    package func accompany(_ batch: Batch, seed: UInt64) throws {
        _ = try sharding.pass(learning: true, isIdle: true) { try learn(batch, seed: seed) }
    }
    package func skipRound() { sharding.skipRound() }

    package func accumulate(_ batch: Batch, seed: UInt64) throws -> Double {
        try sharding.pass(learning: true) { try learn(batch, seed: seed) }
    }

    /// The last hidden states of a pass, which the ranks follow where they share its parameters; and the node of those
    /// of an encoder that a decoder reads.
    private func hidden(
        _ model: Model, _ batch: Batch, _ training: TrainingPass?
    ) -> (states: Tensor, source: GradientNode?) {
        let rows = model.rows(batch.rows, batch.decoderRows, training, sharding.stage >= 2 ? sharding : nil)
        let (handed, source) = model.run(0, of: whole, [], rows, on: parameters.device)
        return (handed[0], source)
    }

    private func learn(_ batch: Batch, seed: UInt64) throws -> Double {
        let pass = pass(seed: seed)
        let (hidden, source) = hidden(model, batch, pass)
        var flow = GradientFlow(into: gradients, on: parameters.device)
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
        let (sums, root) = head.loss(hidden, batch.targets, settings.loss, &flow)
        return (sums.loss, [root].compactMap(\.self))
    }

    package func accumulate(shards: [[(batch: Batch, seed: UInt64)]]) throws -> [Double] {
        guard let pipeline else { preconditionFailure("ModelLearner: no pipeline takes the passes of a step") }
        let learning = PipelineStage.Learning(model: model, pass: { self.pass(seed: $0) }) { hidden, pass, flow in
            self.loss(hidden, pass.batch, self.pass(seed: pass.seed), &flow)
        }
        return try pipeline.accumulate(shards, learning)
    }

    /// The work of this rank in the last step, where it is a stage of a pipeline.
    package var pipelineItems: [PipelineOrder.Item] { pipeline?.done ?? [] }

    package func loss(of batch: Batch) throws -> Double {
        if let task = settings.task { return try measured(task, batch).loss }
        if let pipeline {
            let hidden = try pipeline.hidden(frozen, batch)
            return hidden.flatMap { frozenHead?.loss($0, batch.targets, LossForm()).loss } ?? 0
        }
        return try sharding.pass(learning: false) {
            frozenHead?.loss(hidden(frozen, batch, nil).states, batch.targets, LossForm()).loss ?? 0
        }
    }

    /// The result of the task for an untracked pass: nothing flows.
    private func measured(_ task: any TaskLoss, _ batch: Batch) throws -> TaskResult {
        try sharding.pass(learning: false) {
            var flow = GradientFlow(into: gradients, on: parameters.device)
            return task(frozen.head, hidden(frozen, batch, nil).states, batch, dropout: nil, &flow)
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

    // MARK: - Gradients

    package func endShard() {
        shards.take(gradients.all, on: parameters.device)
        gradients.reset()
    }

    package func sumShards() throws(CommunicationError) {
        if !shards.isEmpty { shards.give(to: gradients.all) }
        pipeline?.sumShards()
        try sharding.sumGradients()
    }

    package func gradientNorm(scale: Float) throws(CommunicationError) -> Double {
        try sharding.gradientNorm() * Double(abs(scale))
    }

    package func firstNonFinite() throws(CommunicationError) -> String? {
        let (gradient, weight) = try sharding.firstNonFinite()
        if let gradient { return "the gradient of \(parameters.names[gradient])" }
        return weight.map { parameters.names[$0] }
    }

    package func update(learningRate: Float, scale: Float) throws(CommunicationError) {
        updates += 1
        optimizer.step(gradients, rate: learningRate, scale: scale, number: updates)
        average?.update()
        try gatherWeights()
        forgetGradients()
    }

    /// Brings the weights here that other ranks have changed and this one reads.
    private func gatherWeights() throws(CommunicationError) {
        try sharding.gatherWeights()
        try pipeline?.shareWeights()
    }

    package func forgetGradients() {
        sharding.forgetGradients()
        pipeline?.forgetShards()
        shards = GradientTree()
    }

    /// Bytes that this rank sends in one step for gradients and for weights.
    package var plannedTraffic: (gradients: Int, weights: Int) {
        let (gradients, weights) = sharding.plannedTraffic
        guard let pipeline else { return (gradients, weights) }
        let sums = pipeline.plannedSums(passes: ownPasses)
        return (gradients + sums.gradients, weights + sums.weights)
    }

    /// Bytes of activations and their gradients that this rank sends in a step over these passes of its lane.
    package func plannedActivations(_ batches: [Batch]) throws -> Int {
        try pipeline?.plannedTraffic(model, batches)[.activations] ?? 0
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
    fileprivate var tokenHead: TokenHeadLayer? {
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
