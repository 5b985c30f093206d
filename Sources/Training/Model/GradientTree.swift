import MartletTensors

/// The gradients of several shards, added in a binary tree as they come: ((0 + 1) + (2 + 3)) + ….
///
/// Holds one array for each level that waits for its neighbour: the logarithm of the number of shards.
struct GradientTree {
    private var waiting: [(level: Int, sum: Tensor)] = []

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes the gradients of the next shard, and leaves none.
    mutating func take(_ gradients: Gradients, on device: Device) {
        var next = (level: 0, sum: device.make([gradients.count]))
        next.sum.overwrite(with: gradients.all, adding: false)
        gradients.reset()
        while let last = waiting.last, last.level == next.level {
            waiting.removeLast()
            last.sum.overwrite(with: next.sum, adding: true)
            next = (last.level + 1, last.sum)
        }
        waiting.append(next)
    }

    /// Puts the sum of all shards into `gradients`. - Precondition: their number is a power of two.
    mutating func give(to gradients: Gradients) {
        precondition(waiting.count == 1, "GradientTree: \(waiting.count) sums, where shards are no power of two")
        gradients.all.overwrite(with: waiting.removeLast().sum, adding: false)
    }
}
