package import MartletModels
package import MartletTensors

/// The loss of a labelled batch: from the last hidden states through the head to a sum over examples, and the nodes
/// that its gradients then run from.
package protocol TaskLoss: Sendable {
    /// - Parameters:
    ///   - hidden: `[rows, width]` of the last layer.
    ///   - dropout: of what a labelling head reads.
    ///   - flow: where gradients are added; of an untracked pass nothing comes.
    func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult

    /// The measures beside the loss, over all batches of an evaluation.
    ///
    /// - Returns: names and values, the first being the one that decides unless a recipe names another.
    func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure]
}

/// A loss that compares one vector per text, and nothing else of a pass: so that the texts of several passes can be
/// compared at once.
package protocol VectorLoss: TaskLoss {
    /// The vectors of texts, `[sequences, width]` of the last hidden states `[rows, width]`.
    func vectors(_ hidden: Tensor, _ batch: Batch) -> Tensor

    /// - Parameter vectors: of all sequences of the batch, in their order.
    func compare(_ vectors: Tensor, _ batch: Batch, _ flow: inout GradientFlow) -> TaskResult
}

extension VectorLoss {
    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        compare(vectors(hidden, batch), batch, &flow)
    }
}

/// The result of a pass over a labelled batch.
package struct TaskResult: Sendable {
    /// The loss, summed over examples, or over rows with a target.
    package var loss: Double
    /// The roots of the autograd graph from which the flow goes on.
    package var roots: [GradientNode]
    /// The outputs that the loss compared: logits `[n, labels]`, or vectors of texts; untracked.
    package var outputs: Tensor

    init(_ loss: Double, roots: [GradientNode], outputs: Tensor) {
        (self.loss, self.roots, self.outputs) = (loss, roots, outputs.untracked)
    }

    init(_ loss: Double, _ tracked: [Tensor], outputs: Tensor) {
        (self.loss, roots, self.outputs) = (loss, tracked.compactMap(\.node), outputs.untracked)
    }
}

extension TaskLoss {
    /// The logits of a head that labels.
    ///
    /// - Precondition: the model has one, as preparation has made sure.
    func logits(_ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, _ dropout: Dropout?) -> Tensor {
        guard let logits = head.labelLogits(hidden, batch.rows, dropout: dropout) else {
            preconditionFailure("\(Self.self): the model's head has no labels")
        }
        return logits
    }
}

extension GradientFlow {
    /// Cross-entropy of logits `[n, classes]` that are no projection to a vocabulary: its gradients are added to them.
    mutating func crossEntropy(ofLogits logits: Tensor, _ targets: [Int32], _ form: LossForm) -> LossSums {
        let gradient = logits.untracked * 1
        let sums = gradient.crossEntropy(targets, form, gradientFactor: 1)
        add(gradient, to: logits.node)
        return sums
    }
}
