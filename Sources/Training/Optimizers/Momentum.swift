import CMartletKernels
package import MartletTensors

/// The optimizers that remember one average of the gradients.
package final class Momentum: Optimizer {
    /// The update rule.
    package enum Rule: Sendable {
        /// Stochastic gradient descent; decay is added to the gradient, as PyTorch does.
        case descent(momentum: Float, nesterov: Bool)
        /// Lion, which steps by signs only (arXiv:2302.06675).
        case lion(betas: (Float, Float))
    }

    private let rule: Rule
    private let decay: Float
    private let parts: ParameterParts
    private let average: Moments

    package init(_ parts: ParameterParts, _ rule: Rule, decay: Float = 0) {
        (self.parts, self.rule, self.decay) = (parts, rule, decay)
        average = Moments("momentum", parts)
    }

    package var state: [CheckpointArray] { average.named }

    package func step(_ gradients: Gradients, rate: Float, scale: Float, number: Int) {
        for part in parts.indices where gradients.holds(parts.parameter(part)) {
            let (weight, gradient) = (parts.weight(part), parts.gradient(part, in: gradients))
            let average = average[part]
            var step = martlet_step()
            (step.rate, step.gradient_scale) = (rate * parts.rateFactor(part), scale)
            step.decay = parts.decay(decay, of: part)
            switch rule {
            case .descent(let momentum, _): step.beta1 = momentum
            case .lion(let betas): (step.beta1, step.beta2) = betas
            }
            parts.forEachRange(of: part, cost: 4) { [step] range in
                var step = step
                let at = range.lowerBound
                switch rule {
                case .descent(_, let nesterov):
                    unsafe martlet_sgd(
                        &step, nesterov, gradient.floats + at, weight.mutableFloats + at, average.mutableFloats + at,
                        range.count)
                case .lion:
                    unsafe martlet_lion(
                        &step, gradient.floats + at, weight.mutableFloats + at, average.mutableFloats + at, range.count)
                }
            }
        }
    }
}
