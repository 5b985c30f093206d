import CMartletKernels

/// The random numbers of one dropout: the same again whenever the same values are given, which is how a recomputed layer repeats itself.
public struct Dropout: Sendable, Hashable {
    /// The share of elements that become zero, in 0 ..< 1.
    public let share: Float
    public let seed: UInt64
    /// One for each place in a model and step of a run.
    public let stream: UInt64

    /// - Precondition: `share` lies in 0 ..< 1.
    public init(share: Float, seed: UInt64, stream: UInt64) {
        precondition(share >= 0 && share < 1, "Dropout: a share of \(share)")
        (self.share, self.seed, self.stream) = (share, seed, stream)
    }
}

extension Tensor {
    /// Elements become zero at random, the others are divided by 1 − share (arXiv:1207.0580).
    package func dropped(_ dropout: Dropout?) -> Tensor {
        guard let dropout, dropout.share > 0 else { return self }
        let result = masked(dropout)
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in flow.add(gradient.masked(dropout), to: node) }
    }

    private func masked(_ dropout: Dropout) -> Tensor {
        let device = device(for: "dropped")
        let result = device.make(shape)
        let threshold = UInt32((Double(dropout.share) * 0x1p32).rounded(.down))
        device.parallel(shape.elements, cost: 8, grain: 64) { range in
            unsafe martlet_dropout(
                floats + range.lowerBound, result.mutableFloats + range.lowerBound, range.count, dropout.seed,
                dropout.stream, UInt64(range.lowerBound), threshold, 1 / (1 - dropout.share))
        }
        return result
    }
}
