import CMartletKernels
import MartletPlatform
package import MartletTensors

/// Adam with decoupled weight decay (arXiv:1412.6980, 1711.05101), in PyTorch's order of operations.
package final class AdamW: Optimizer {
    private let betas: (Double, Double)
    private let epsilon, decay: Float
    private let parts: ParameterParts
    private let first, second: Moments

    /// - Parameter decay: of matrices; norms and biases do not decay.
    package init(
        _ parts: ParameterParts, betas: (Double, Double) = (0.9, 0.999), epsilon: Float = 1e-8, decay: Float = 0
    ) {
        (self.parts, self.betas, self.epsilon, self.decay) = (parts, betas, epsilon, decay)
        (first, second) = (Moments("first", parts), Moments("second", parts))
    }

    package var state: [CheckpointArray] { first.named + second.named }

    package func step(_ gradients: Gradients, rate: Float, scale: Float, number: Int) {
        for part in parts.indices where gradients.holds(parts.parameter(part)) {
            step(part, gradients, rate: rate, scale: scale, number: number)
        }
    }

    /// The step of one part.
    func step(_ part: Int, _ gradients: Gradients, rate: Float, scale: Float, number: Int) {
        let weight = parts.weight(part)
        let gradient = parts.gradient(part, in: gradients)
        let (first, second) = (first[part], second[part])
        let step = martlet_step(
            rate: rate * parts.rateFactor(part), beta1: Float(betas.0), beta2: Float(betas.1), epsilon: epsilon,
            decay: parts.decay(decay, of: part), gradient_scale: scale,
            correction1: Float(1 - pow(betas.0, Double(number))), correction2: Float(1 - pow(betas.1, Double(number))))
        parts.forEachRange(of: part, cost: 8) { range in
            var step = step
            let at = range.lowerBound
            unsafe martlet_adamw(
                &step, gradient.floats + at, weight.mutableFloats + at, first.mutableFloats + at,
                second.mutableFloats + at, range.count)
        }
    }
}
