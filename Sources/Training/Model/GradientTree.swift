import MartletTensors

/// The gradients of several shards, added in a binary tree as they come: ((0 + 1) + (2 + 3)) + ….
///
/// Holds one array for each level that waits for its neighbour: the logarithm of the number of shards.
struct GradientTree {
    private var waiting: [(level: Int, sum: Tensor)] = []

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes a copy of the next shard's gradients.
    mutating func take(_ gradients: Tensor, on device: Device) {
        var next = (level: 0, sum: device.make([gradients.shape.elements]))
        next.sum.overwrite(with: gradients, adding: false)
        while let last = waiting.last, last.level == next.level {
            waiting.removeLast()
            last.sum.overwrite(with: next.sum, adding: true)
            next = (last.level + 1, last.sum)
        }
        waiting.append(next)
    }

    /// Puts the sum of all shards into `target`. - Precondition: their number is a power of two.
    mutating func give(to target: Tensor) {
        precondition(waiting.count == 1, "GradientTree: \(waiting.count) sums, where shards are no power of two")
        target.overwrite(with: waiting.removeLast().sum, adding: false)
    }
}
