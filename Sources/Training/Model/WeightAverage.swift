import MartletLayers
import MartletTensors

/// The exponential average of the trained weights over updates (Polyak and Juditsky 1992), one more array of the size
/// of the parts that this rank steps on.
final class WeightAverage {
    private let parts: ParameterParts
    private let share: Float
    /// The averages in the order of the parts.
    private let tensors: [Tensor]

    /// - Parameter share: how much of the average each update keeps.
    init(of parts: ParameterParts, keeping share: Float) {
        (self.parts, self.share) = (parts, share)
        tensors = parts.indices.map { parts.weight($0) * 1 }
    }

    var named: [CheckpointArray] { parts.arrays("average.", tensors) }

    /// Updates the average: average ← share · average + (1 − share) · weights.
    func update() {
        for (part, average) in tensors.enumerated() { average.blend(share, parts.weight(part), 1 - share) }
    }

    /// Puts the average in the weights' place, and the weights in its own; a second time puts both back.
    func exchange() {
        for (part, average) in tensors.enumerated() {
            let weights = parts.weight(part) * 1
            parts.weight(part).overwrite(with: average, adding: false)
            average.overwrite(with: weights, adding: false)
        }
    }
}
