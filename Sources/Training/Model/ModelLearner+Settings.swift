package import MartletDistributed
package import MartletLayers
package import MartletTensors

extension ModelLearner {
    package struct Settings: Sendable {
        package var dropout = DropoutShares()
        package var recomputation = TrainingPass.Recomputation.none
        /// The precision of factors, and of what waits for the backward pass: f32, or bf16 with f32 sums. All else is
        /// f32 in any case.
        package var precision = ElementType.f32
        package var loss = LossForm()
        /// The weight of the loss that spreads tokens evenly over experts (arXiv:2101.03961).
        package var expertBalance: Float = 0
        /// The loss of labelled batches; nil: tokens are predicted.
        package var task: (any TaskLoss)?
        /// True where vectors of texts are compared over all passes of a step, where the task is a ``VectorLoss``.
        package var comparesWholeSteps = false
        /// The share of the inputs of adapters that become zero.
        package var adapterDropout: Float = 0
        package var selection = TrainableParameters.Selection()
        /// The decay of the average of weights at each update; nil: no average is kept.
        package var average: Double?

        package init() {}
    }

    /// The ranks of a run, and what each of them holds.
    package struct Ranks: Sendable {
        package var communicator: any Communicator = Alone()
        package var layout = RankLayout()
        /// The places of ranks.
        package var mesh = RankMesh(lanes: 1)
        /// Passes to a step, of all ranks, and the shards that they are dealt to.
        package var passes = 1
        package var shards = 1
        /// True where a parameter may be cut among ranks, which optimizers that look at whole matrices cannot have.
        package var cutsParameters = true
        /// The model's family, as errors name it.
        package var family = "this model"

        package init() {}
    }
}
