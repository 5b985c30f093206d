package import MartletDistributed
import MartletJSON
package import MartletLayers
import MartletModels
package import MartletTensors

/// A model of any family that learns to predict tokens: forward, loss, gradients, optimizer.
///
/// The weights are f32 and are read anew in every pass. A decoder's targets are the next tokens, an encoder-decoder's those of its decoder,
/// an encoder's the tokens behind the masks.
package final class ModelLearner: Learner {
    package struct Settings: Sendable {
        package var dropout = DropoutShares()
        package var recomputation = TrainingPass.Recomputation.none
        /// What is multiplied and what waits for the backward pass: f32, or bf16 with f32 sums. All else is f32 in any case.
        package var precision = ElementType.f32
        package var loss = LossForm()
        /// The weight of the loss that spreads tokens evenly over experts (arXiv:2101.03961).
        package var expertBalance: Float = 0

        package init() {}
    }

    private let model, frozen: Model
    private let head, frozenHead: TokenHeadLayer
    package let parameters: TrainableParameters
    /// Of the passes since the last update.
    package let gradients: Gradients
    private let optimizer: any Optimizer
    private let settings: Settings
    private var updates = 0
    private var shards = GradientTree()

    /// - Parameters:
    ///   - source: where the first weights come from: a seed, or a checkpoint.
    ///   - optimizer: made for the parameters given.
    /// - Throws: ``UnsupportedArchitecture`` where the model cannot be run, or has no head that predicts tokens.
    package init(
        _ architecture: Architecture, from source: any ParameterSource, _ settings: Settings, on device: Device,
        optimizer: (TrainableParameters) -> any Optimizer
    ) throws {
        let inventory = try architecture.inventory()
        parameters = TrainableParameters(inventory, from: source, operands: settings.precision, on: device)
        gradients = Gradients(parameters.shapes, on: device)
        self.optimizer = optimizer(parameters)
        self.settings = settings
        model = try Model(architecture, Scope(parameters))
        frozen = try Model(architecture, Scope(parameters.untracked))
        guard let head = model.tokenHead, let frozenHead = frozen.tokenHead else {
            throw UnsupportedArchitecture("this model has no head that predicts tokens, which all objectives need")
        }
        (self.head, self.frozenHead) = (head, frozenHead)
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
        let source: any ParameterSource =
            switch recipe.model {
            case .config: SeededInitialiser(seed: recipe.seed, device: device)
            case .directory(let path): CheckpointSource(try ModelFile(path: path).checkpoint(), device: device)
            }
        try self.init(preparation.architecture, from: source, settings, on: device) {
            OptimizerChoice.make(recipe.optimizer, $0)
        }
        if let failure = (source as? CheckpointSource)?.failure { throw failure }
    }

    package var weights: [(name: String, tensor: Tensor)] {
        parameters.names.indices.map { (parameters.names[$0], parameters[$0]) } + parameters.constants
    }
    package var optimizerState: [(name: String, tensor: Tensor)] { optimizer.state }
    package var parameterCount: Int { parameters.shapes.reduce(0) { $0 + $1.elements } }

    package func restore(weights: [String: Tensor], optimizerState: [String: Tensor], updates: Int) throws {
        let learnt = parameters.names.indices.map { (name: parameters.names[$0], tensor: parameters[$0]) }
        for (held, kind) in [(learnt, weights), (optimizer.state, optimizerState)] {
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

    package func accumulate(_ batch: Batch, seed: UInt64) throws -> Double {
        var pass = TrainingPass(
            dropout: settings.dropout.residual, seed: seed, expertBalance: settings.expertBalance,
            recomputation: settings.recomputation)
        pass.attentionDropout = settings.dropout.attention
        pass.activationDropout = settings.dropout.activation
        let hidden = model.hidden(batch, pass, on: parameters.device)
        var flow = GradientFlow(into: gradients, on: parameters.device)
        let (sums, root) = head.loss(hidden, batch.targets, settings.loss, &flow)
        if let root { flow.run(from: [root]) }
        return sums.loss
    }

    package func loss(of batch: Batch) throws -> Double {
        let hidden = frozen.hidden(batch, nil, on: parameters.device)
        return frozenHead.loss(hidden, batch.targets, LossForm()).loss
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
        forgetGradients()
    }

    package func forgetGradients() {
        gradients.reset()
        shards = GradientTree()
    }
}

extension Model {
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
            var decoderRows = batch.decoderRows ?? Rows()
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
