// MartletTraining: how a model learns. Knows no server, no sampling, and nothing of how kernels compute.

import MartletPlatform

/// A learning-rate schedule, the rate of a step as a share of its peak: a linear rise over `warmUp` steps, then one of
/// the usual ways down.
///
/// Steps count from 0; the share of step s during warm-up is (s + 1) / warmUp.
public struct Schedule: Sendable, Hashable, Codable {
    /// The curve of the learning rate after the warm-up.
    public enum Shape: Sendable, Hashable, Codable {
        case constant
        /// A straight line down to `final` at the last step.
        case linear(final: Float)
        /// A cosine, half a period down to `final` (arXiv:1608.03983).
        case cosine(final: Float)
        /// Inverse square root, √(warmUp / step): the 2017 Transformer ("Noam").
        case inverseSquareRoot
        /// Warm-up, stable, decay (arXiv:2404.06395): flat, then straight down to `final` over the last `decay` steps.
        case stableThenDecay(decay: Int, final: Float)
    }

    /// The curve of the learning rate after the warm-up.
    public var shape: Shape
    /// The warm-up steps, in which the learning rate rises from zero.
    public var warmUp: Int
    /// The number of steps of the run.
    public var steps: Int

    /// - Precondition: no count is negative.
    public init(_ shape: Shape = .constant, warmUp: Int = 0, steps: Int) {
        precondition(warmUp >= 0 && steps >= 0, "Schedule: \(warmUp) of \(steps) steps")
        (self.shape, self.warmUp, self.steps) = (shape, warmUp, steps)
    }

    /// The share of the peak at `step`.
    public func share(at step: Int) -> Float {
        if step < warmUp { return Float(step + 1) / Float(warmUp) }
        switch shape {
        case .constant: return 1
        case .linear(let final): return 1 - (1 - final) * progress(step, from: warmUp, to: steps)
        case .cosine(let final):
            let height = (1 + cos(Double.pi * Double(progress(step, from: warmUp, to: steps)))) / 2
            return final + (1 - final) * Float(height)
        case .inverseSquareRoot: return (Float(max(warmUp, 1)) / Float(step + 1)).squareRoot()
        case .stableThenDecay(let decay, let final):
            return 1 - (1 - final) * progress(step, from: max(warmUp, steps - decay), to: steps)
        }
    }

    private func progress(_ step: Int, from first: Int, to last: Int) -> Float {
        guard last > first else { return step >= last ? 1 : 0 }
        return Float(min(max(step - first, 0), last - first)) / Float(last - first)
    }
}
