import MartletTensors

/// The gradients of several shards, added in a binary tree as they come: ((0 + 1) + (2 + 3)) + ….
///
/// Holds one array for each level that waits for its neighbour: the logarithm of the number of shards.
struct GradientTree {
    private var waiting: [(level: Int, sum: [Tensor])] = []

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes the next shard's gradients: adds them to those of its neighbour, or copies them.
    mutating func take(_ gradients: [Tensor], on device: Device) {
        var next = (level: 0, sum: gradients)
        while let last = waiting.last, last.level == next.level {
            waiting.removeLast()
            for (sum, added) in zip(last.sum, next.sum) { sum.overwrite(with: added, adding: true) }
            next = (last.level + 1, last.sum)
        }
        if next.level == 0 {
            next.sum = gradients.map { device.make([$0.shape.elements]) }
            for (copy, gradients) in zip(next.sum, gradients) { copy.overwrite(with: gradients, adding: false) }
        }
        waiting.append(next)
    }

    /// Puts the sum of all shards into `targets`.
    ///
    /// - Precondition: their number is a power of two.
    mutating func give(to targets: [Tensor]) {
        precondition(waiting.count == 1, "GradientTree: \(waiting.count) sums, where shards are no power of two")
        for (target, sum) in zip(targets, waiting.removeLast().sum) { target.overwrite(with: sum, adding: false) }
    }
}
