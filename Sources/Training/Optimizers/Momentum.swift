import CMartletKernels
package import MartletLayers
package import MartletTensors

/// The optimizers that remember one average of the gradients.
package final class Momentum: Optimizer {
    package enum Rule: Sendable {
        /// Stochastic gradient descent; decay is added to the gradient, as PyTorch does.
        case descent(momentum: Float, nesterov: Bool)
        /// Only signs (arXiv:2302.06675).
        case lion(betas: (Float, Float))
    }

    private let rule: Rule
    private let decay: Float
    private let average: Moments

    package init(_ parameters: TrainableParameters, _ rule: Rule, decay: Float = 0) {
        (self.rule, self.decay) = (rule, decay)
        average = Moments("momentum", parameters)
    }

    package var state: [(name: String, tensor: Tensor)] { average.named }

    package func step(
        _ parameters: TrainableParameters, _ gradients: Gradients, rate: Float, scale: Float, number: Int
    ) {
        for index in parameters.shapes.indices where gradients.holds(index) {
            let (weight, gradient, average) = (parameters[index], gradients[index], average[index])
            var step = martlet_step()
            (step.rate, step.gradient_scale) = (rate * parameters.rateFactors[index], scale)
            step.decay = parameters.decay(decay, of: index)
            switch rule {
            case .descent(let momentum, _): step.beta1 = momentum
            case .lion(let betas): (step.beta1, step.beta2) = betas
            }
            parameters.forEachRange(of: index, cost: 4) { [step] range in
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
