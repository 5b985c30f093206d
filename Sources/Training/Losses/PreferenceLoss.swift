import MartletLayers
package import MartletModels
package import MartletTensors

/// Direct preference optimisation: −log σ(β ((log p(chosen) − log r(chosen)) − (log p(rejected) − log r(rejected)))),
/// where p is the model and r the model as it was before training (arXiv:2305.18290).
///
/// The reference is two numbers per example, computed once before training; there is no second model.
package struct PreferenceLoss: TaskLoss {
    private let beta: Double
    /// The reference's log-probabilities, log r of the chosen and the rejected answer, by the example's number.
    private let reference: [Int: (chosen: Double, rejected: Double)]

    package init(beta: Double, reference: [Int: (chosen: Double, rejected: Double)]) {
        (self.beta, self.reference) = (beta, reference)
    }

    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        guard case .tokens(let tokens) = head else {
            preconditionFailure("preferences: the model does not predict tokens")
        }
        let found = PreferenceLoss.logProbabilities(tokens, hidden, batch)
        var (loss, roots): (Double, [GradientNode]) = (0, [])
        var margins: [Float] = []
        for (index, label) in batch.labels.enumerated() {
            guard case .preference(let number) = label, let before = reference[number] else { continue }
            let (chosen, rejected) = (found[2 * index] - before.chosen, found[2 * index + 1] - before.rejected)
            let margin = beta * (chosen - rejected)
            margins.append(Float(margin))
            // −log σ(z) and its derivative σ(z) − 1, without overflow.
            let power = exponential(-abs(margin))
            loss += max(0, -margin) + naturalLogarithm(1 + power)
            let slope = beta * (margin >= 0 ? power / (1 + power) : 1 / (1 + power))
            guard hidden.node != nil else { continue }
            for (offset, sign) in [(0, 1.0), (1, -1.0)] {
                let rows = batch.rows.sequences[2 * index + offset].rows
                let (_, root) = tokens.loss(
                    hidden.rows(rows), Array(batch.targets[rows]), LossForm(), factor: Float(sign * slope), &flow)
                if let root { roots.append(root) }
            }
        }
        let outputs = flow.device.tensor(margins, shape: [margins.count])
        return TaskResult(loss, roots: roots, outputs: outputs)
    }

    /// The log-probabilities of sequences, Σ log p of the targets of each sequence.
    static func logProbabilities(_ head: TokenHeadLayer, _ hidden: Tensor, _ batch: Batch) -> [Double] {
        batch.rows.sequences.map { sequence in
            -head.loss(hidden.untracked.rows(sequence.rows), Array(batch.targets[sequence.rows]), LossForm()).loss
        }
    }

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        let margins = results.flatMap { $0.result.outputs.values.map(Double.init) }
        let count = Double(max(1, margins.count))
        return [
            Measure("preferred", margins.reduce(0) { $0 + ($1 > 0 ? 1 : 0) } / count),
            Measure("margin", margins.reduce(0, +) / count),
        ]
    }
}
