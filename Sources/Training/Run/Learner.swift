package import MartletDistributed
package import MartletTensors

/// A learner, what a run trains: a model, its gradients and its optimizer, seen from outside.
///
/// Knows no data, no files and no schedule.
package protocol Learner: AnyObject {
    /// Weights and optimizer state by name, in an order that never changes. What a checkpoint holds.
    var weights: [CheckpointArray] { get }
    var optimizerState: [CheckpointArray] { get }

    /// The number of parameters that products run through, for counting operations.
    var parameterCount: Int { get }

    /// Puts back what a checkpoint held, by the names of ``weights`` and ``optimizerState``.
    ///
    /// - Parameter updates: how many updates had been done.
    func restore(weights: [String: Tensor], optimizerState: [String: Tensor], updates: Int) throws

    /// Adds the gradients of the batch's summed loss to those accumulated, and returns that sum.
    ///
    /// - Parameter seed: of whatever is drawn at random in the pass (dropout); the same seed, the same bits.
    func accumulate(_ batch: Batch, seed: UInt64) throws -> Double

    /// True where the loss compares the examples of all passes of a step, which then come together.
    var comparesWholeSteps: Bool { get }

    /// Adds the gradients of all passes of a step at once, each with its seed, and returns their summed loss.
    func accumulate(step passes: [(batch: Batch, seed: UInt64)]) throws -> Double

    /// The stages that ranks cut the model into; 1 where each has all layers.
    var stages: Int { get }

    /// The parts that ranks divide matrices into; 1 where each has them whole.
    var parts: Int { get }

    /// Computes this lane's passes of a step, shard by shard, in the pipeline of its stages: in place of all of the
    /// other ways where there are several.
    ///
    /// - Returns: the summed loss of each pass, on the last stage; zeros on the others.
    func accumulate(shards: [[(batch: Batch, seed: UInt64)]]) throws -> [Double]

    /// The stage of ZeRO sharding (``RankLayout/zero``). From 2 on every pass is a shard of its own, and
    /// gradients are summed over the ranks during each: all ranks compute a pass at once.
    var zeroStage: Int { get }

    /// Takes part in a round of passes of which this rank's own has no target, by a batch of another rank.
    func accompany(_ batch: Batch, seed: UInt64) throws

    /// Counts a round in which no rank's pass has a target.
    func skipRound()

    /// Puts the gradients of a shard's passes aside, to be added to those of other shards by ``sumShards()``.
    func endShard()

    /// Makes the gradients those of all shards of all ranks.
    ///
    /// - Throws: ``CommunicationError``. So do the four that follow.
    func sumShards() throws(CommunicationError)

    /// The gradient norm √Σ (scale · gradient)² over all parameters.
    func gradientNorm(scale: Float) throws(CommunicationError) -> Double

    /// The name of the first tensor that holds NaN or infinity: among the gradients, then the weights.
    func firstNonFinite() throws(CommunicationError) -> String?

    /// Changes the weights by the gradients times `scale`, and forgets the gradients.
    func update(learningRate: Float, scale: Float) throws(CommunicationError)

    func forgetGradients()

    /// The summed loss of a batch, nothing recorded, nothing dropped; 0 on all stages of a pipeline but the last.
    func loss(of batch: Batch) throws -> Double

    /// True where more than a loss is measured of validation batches, which takes all of them.
    var measuresMore: Bool { get }

    /// Runs `body` with the weights that others are to use in place: their average, where one is kept.
    func withAverage<Result>(_ body: () throws -> Result) throws -> Result

    /// The mean loss over all targets of the batches, and what else is measured of them.
    func evaluate(_ batches: [Batch]) throws -> Evaluation
}

/// The evaluation of a model on validation batches.
package struct Evaluation: Sendable, Equatable {
    package var loss: Double
    package var measures: [Measure]

    package init(loss: Double, measures: [Measure] = []) { (self.loss, self.measures) = (loss, measures) }
}

extension Learner {
    package var comparesWholeSteps: Bool { false }
    package var measuresMore: Bool { false }
    package var zeroStage: Int { 0 }
    package var stages: Int { 1 }
    package var parts: Int { 1 }
    package func accumulate(shards: [[(batch: Batch, seed: UInt64)]]) throws -> [Double] {
        preconditionFailure("\(Self.self): no pipeline")
    }
    package func accompany(_ batch: Batch, seed: UInt64) throws { _ = try accumulate(batch, seed: seed) }
    package func skipRound() {}
    package func withAverage<Result>(_ body: () throws -> Result) throws -> Result { try body() }

    package func accumulate(step passes: [(batch: Batch, seed: UInt64)]) throws -> Double {
        try passes.reduce(0) { try $0 + accumulate($1.batch, seed: $1.seed) }
    }

    package func evaluate(_ batches: [Batch]) throws -> Evaluation {
        var (loss, targets) = (0.0, 0)
        for batch in batches {
            loss += try self.loss(of: batch)
            targets += batch.targetCount
        }
        return Evaluation(loss: loss / Double(max(1, targets)))
    }
}
