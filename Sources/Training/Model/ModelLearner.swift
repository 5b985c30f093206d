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
    private let rowTraffic: RowTraffic?
    /// The ranks that divide experts with this one.
    private let experts: ExpertTeam?
    /// The ranks that divide the rows of passes with this one.
    let rowTeam: RowTeam?
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
        let division = try ModelDivision(architecture, inventory, settings, ranks, on: device)
        let cut = division.cut
        (team, rowTeam, experts) = (division.team, division.rowTeam, division.experts)
        parameters = TrainableParameters(
            inventory, from: source, settings.selection, factors: factors, holding: division.isHeld, dividedBy: team,
            expertsDividedBy: experts, rowsDividedBy: rowTeam, operands: settings.precision, on: device)
        guard !parameters.names.isEmpty else { throw RunError("train.freeze leaves no parameter to train") }
        try cut?.check(parameters.entries, ranks)
        gradients = Gradients(parameters.shapes, holding: parameters.learnt, on: device)
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
        let isRecomputed = settings.recomputation == .byLayer
        traffic = division.matrixTraffic(parameters, architecture, isRecomputed: isRecomputed)
        rowTraffic = division.rowTraffic(parameters, architecture, isRecomputed: isRecomputed)
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

    /// Runs a pass and its messages.
    func pass<Result>(learning: Bool, isIdle: Bool = false, _ body: () throws -> Result) throws -> Result {
        let purpose = learning ? nil : Purpose.evaluation
        experts?.isIdle = isIdle
        return try sharding.pass(learning: learning, isIdle: isIdle) {
            func inTeam() throws -> Result { try team?.pass(purpose, body) ?? body() }
            func inTeams() throws -> Result { try experts?.pass(purpose, inTeam) ?? inTeam() }
            let result = try rowTeam?.pass(purpose, inTeams) ?? inTeams()
            rowTeam?.gathered = nil
            if let missing = gradients.missing {
                throw RunError(
                    "context= cannot train this model: the gradient of \(parameters.names[missing].quoted) is no sum over rows that ranks can divide; data= and tensor= train it"
                )
            }
            return result
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
        try experts?.check()
        try rowTeam?.check()
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
        try rowTeam?.shareWeights(of: parameters)
        try team?.shareColumns(of: parameters) { [sharding] index, share throws(CommunicationError) in
            try sharding.withWeights(of: index, share)
        }
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
        weights += team.map { $0.columnBytes(of: parameters) + sharding.columnTraffic } ?? 0
        weights += rowTeam?.weightBytes(of: parameters) ?? 0
        guard let pipeline else { return (gradients, weights) }
        let sums = pipeline.plannedSums(passes: ownPasses)
        return (gradients + sums.gradients, weights + sums.weights)
    }

    /// Bytes of activations and their gradients that this rank sends in a step over these passes of its lane.
    package func plannedActivations(_ batches: [Batch]) throws -> Int {
        try batches.reduce(pipeline?.plannedTraffic(model, batches)[.activations] ?? 0) {
            $0 + (traffic?.bytes($1) ?? 0) + (rowTraffic?.bytes($1) ?? 0)
        }
    }

    /// The rows that this rank's passes have sent to experts of other ranks, and those that came to its own.
    package var routedRows: (away: Int, here: Int) { experts.map { ($0.met.away, $0.met.here) } ?? (0, 0) }

    /// Bytes of activations that this rank has sent in the passes so far beside those of ``plannedActivations(_:)``, as
    /// more rows of others came to its experts than its own went away.
    package var routedActivations: Int {
        traffic?.bytes(ofRoutedRows: routedRows.here - routedRows.away) ?? 0
    }

    /// Bytes that this rank has sent for experts in the passes so far, by the rows that routers sent away: which way
    /// they go, nobody knows before.
    package func plannedExperts(width: Int, experts count: Int) -> Int {
        guard let experts else { return 0 }
        // Rows and their gradients go one way, results and theirs the other.
        let numbers = experts.met.layers * (count - experts.part(of: count).count)
        return 4 * (2 * width * (experts.met.away + experts.met.here) + numbers)
    }
}
