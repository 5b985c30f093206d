import CMartletKernels

/// The random numbers of one dropout: the same again whenever the same values are given, which is how a recomputed
/// layer repeats itself.
package struct Dropout: Sendable, Hashable {
    /// The dropout rate, the share of elements that become zero, in 0 ..< 1.
    package let share: Float
    package let seed: UInt64
    /// The stream of random numbers, one for each place in a model and step of a run.
    package let stream: UInt64
    /// The first of the heads that are there and how many there are in all, where ranks divide those of an attention.
    package var heads: HeadPlace?
    /// The number of the first row that is there, among those of the pass, where ranks divide them.
    package var firstRow = 0

    /// The place of some heads among all of an attention.
    package struct HeadPlace: Sendable, Hashable {
        package let first, count: Int
        package init(first: Int, count: Int) { (self.first, self.count) = (first, count) }
    }

    /// - Precondition: `share` lies in 0 ..< 1.
    package init(share: Float, seed: UInt64, stream: UInt64) {
        precondition(share >= 0 && share < 1, "Dropout: a share of \(share)")
        (self.share, self.seed, self.stream) = (share, seed, stream)
    }

    /// Elements whose random word is below it become zero.
    var threshold: UInt32 { UInt32((Double(share) * 0x1p32).rounded(.down)) }
    /// The factor by which the remaining elements are multiplied, 1 / (1 − share).
    var factor: Float { 1 / (1 - share) }

    /// The dropout of another piece of the keys at the same place: other random numbers.
    package func piece(_ index: Int) -> Dropout {
        var piece = Dropout(share: share, seed: seed, stream: stream | UInt64(index) << 48)
        piece.heads = heads
        return piece
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

    func masked(_ dropout: Dropout) -> Tensor {
        let device = device(for: "dropped")
        let result = device.make(shape, type)
        let before = UInt64(dropout.firstRow * shape.width)
        device.parallel(shape.elements, cost: 8, grain: 64) { range in
            let runs = FloatRuns(range, [self, result], on: device)
            for run in runs.ranges {
                unsafe martlet_dropout(
                    runs.floats(of: self, run, 0), runs.target(result, run, 1), run.count, dropout.seed,
                    dropout.stream, before + UInt64(run.lowerBound), dropout.threshold, dropout.factor)
                runs.finish(result, run, 1)
            }
        }
        return result
    }
}
