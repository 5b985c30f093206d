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
    let model, frozen: Model
    let head, frozenHead: TokenHeadLayer?
    package let parameters: TrainableParameters
    /// The gradients of the passes since the last update.
    package let gradients: Gradients
    let sharding: ParameterSharding
    /// This rank's stage of a model that is cut into stages.
    let pipeline: PipelineStage?
    /// The ranks that divide matrices with this one.
    private let team: MatrixTeam?
    private let traffic: MatrixTraffic?
    private let optimizer: any Optimizer
    let average: WeightAverage?
    var settings: Settings
    /// The whole model as one run.
    let whole: ModelRuns
    /// Passes of a step that this rank's lane computes, and the stages that it does so in.
    private let ownPasses: Int
    package let stages, parts: Int
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
        team = try ModelLearner.team(settings, ranks)
        parameters = TrainableParameters(
            inventory, from: source, settings.selection, factors: factors,
            holding: { cut?.isHeld($0, byStage: stage) ?? true }, dividedBy: team, operands: settings.precision,
            on: device)
        guard !parameters.names.isEmpty else { throw RunError("train.freeze leaves no parameter to train") }
        try cut?.check(parameters.entries, ranks)
        gradients = Gradients(parameters.shapes, holding: parameters.held, on: device)
        let homes = parameters.entries.map { entry in cut.map { $0.stage(ofRun: $0.readers(of: entry)[0]) } ?? 0 }
        sharding = ParameterSharding(parameters, gradients, ranks, homes: homes)
        pipeline = cut.map { [parameters, gradients] in
            PipelineStage($0, parameters, gradients, over: ranks.communicator)
        }
        self.optimizer = optimizer(sharding.parts)
        average = settings.average.map { [sharding] in WeightAverage(of: sharding.parts, keeping: Float($0)) }
        self.settings = settings
        whole = ModelRuns(architecture)
        (ownPasses, stages, parts) = (ranks.passes / ranks.mesh.lanes, ranks.mesh.stages, ranks.mesh.parts)
        traffic = team.map { [parameters] in
            MatrixTraffic(
                parameters, architecture, $0, isRecomputed: settings.recomputation == .byLayer,
                stage: cut.map { ($0, stage) })
        }
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

    /// The ranks that divide matrices; nil where each has them whole.
    ///
    /// - Throws: ``RunError`` for what is not trained so.
    private static func team(_ settings: Settings, _ ranks: Ranks) throws(RunError) -> MatrixTeam? {
        guard ranks.mesh.parts > 1 else { return nil }
        guard settings.selection.adapters.targets.isEmpty else {
            throw RunError(
                "tensor= divides matrices that learn, but adapters alone do here; they are trained with data= and zero="
            )
        }
        guard ranks.cutsParameters else {
            throw RunError(
                "tensor= divides matrices, which this optimizer looks at as wholes; adamw, sgd and lion go with tensor="
            )
        }
        return MatrixTeam(Subgroup(ranks.mesh.team(of: ranks.communicator.rank), of: ranks.communicator))
    }

    /// Runs a pass and its messages.
    func pass<Result>(learning: Bool, isIdle: Bool = false, _ body: () throws -> Result) throws -> Result {
        try sharding.pass(learning: learning, isIdle: isIdle) {
            try team?.pass(learning ? .activations : .evaluation, body) ?? body()
        }
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
        for (index, name) in parameters.names.enumerated() {
            if let whole = weights[name] { parameters.division(index)?.take(columnsOf: whole) }
        }
        self.updates = updates
    }

    // MARK: - Gradients

    package func endShard() {
        shards.take(gradients.own(parameters.names.indices), on: parameters.device)
        gradients.reset()
    }

    package func sumShards() throws(CommunicationError) {
        if !shards.isEmpty { shards.give(to: gradients.own(parameters.names.indices)) }
        pipeline?.sumShards()
        try sharding.sumGradients()
    }

    package func gradientNorm(scale: Float) throws(CommunicationError) -> Double {
        try team?.check()
        return try sharding.gradientNorm() * Double(abs(scale))
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
    func gatherWeights() throws(CommunicationError) {
        try sharding.gatherWeights()
        try pipeline?.shareWeights()
        try team?.shareColumns(of: parameters)
    }

    package func forgetGradients() {
        sharding.forgetGradients()
        pipeline?.forgetShards()
        shards = GradientTree()
    }

    package var zeroStage: Int { sharding.stage }

    /// The work of this rank in the last step, where it is a stage of a pipeline.
    package var pipelineItems: [PipelineOrder.Item] { pipeline?.done ?? [] }

    /// Bytes that this rank sends in one step for gradients and for weights.
    package var plannedTraffic: (gradients: Int, weights: Int) {
        var (gradients, weights) = sharding.plannedTraffic
        weights += team?.columnBytes(of: parameters) ?? 0
        guard let pipeline else { return (gradients, weights) }
        let sums = pipeline.plannedSums(passes: ownPasses)
        return (gradients + sums.gradients, weights + sums.weights)
    }

    /// Bytes of activations and their gradients that this rank sends in a step over these passes of its lane.
    package func plannedActivations(_ batches: [Batch]) throws -> Int {
        try batches.reduce(pipeline?.plannedTraffic(model, batches)[.activations] ?? 0) {
            $0 + (traffic?.bytes($1) ?? 0)
        }
    }
}
