import CMartletKernels
package import MartletLayers
import MartletPlatform
package import MartletTensors

/// Adam with decoupled weight decay (arXiv:1412.6980, 1711.05101), in PyTorch's order of operations.
package final class AdamW: Optimizer {
    private let betas: (Double, Double)
    private let epsilon, decay: Float
    private let first, second: Moments

    /// - Parameter decay: of matrices; norms and biases do not decay.
    package init(
        _ parameters: TrainableParameters, betas: (Double, Double) = (0.9, 0.999), epsilon: Float = 1e-8,
        decay: Float = 0
    ) {
        (self.betas, self.epsilon, self.decay) = (betas, epsilon, decay)
        (first, second) = (Moments("first", parameters), Moments("second", parameters))
    }

    package var state: [(name: String, tensor: Tensor)] { first.named + second.named }

    package func step(
        _ parameters: TrainableParameters, _ gradients: Gradients, rate: Float, scale: Float, number: Int
    ) {
        for index in parameters.shapes.indices where gradients.holds(index) {
            step(index, parameters, gradients, rate: rate, scale: scale, number: number)
        }
    }

    /// The step of one parameter.
    func step(
        _ index: Int, _ parameters: TrainableParameters, _ gradients: Gradients, rate: Float, scale: Float, number: Int
    ) {
        let weight = parameters[index]
        let gradient = gradients[index]
        let (first, second) = (first[index], second[index])
        let step = martlet_step(
            rate: rate * parameters.rateFactors[index], beta1: Float(betas.0), beta2: Float(betas.1), epsilon: epsilon,
            decay: parameters.decay(decay, of: index), gradient_scale: scale,
            correction1: Float(1 - pow(betas.0, Double(number))), correction2: Float(1 - pow(betas.1, Double(number))))
        parameters.forEachRange(of: index, cost: 8) { range in
            var step = step
            let at = range.lowerBound
            unsafe martlet_adamw(
                &step, gradient.floats + at, weight.mutableFloats + at, first.mutableFloats + at,
                second.mutableFloats + at, range.count)
        }
    }
}
