import MartletLayers
import MartletTensors

/// The exponential average of the trained weights over updates (Polyak and Juditsky 1992), one more array of their
/// size.
final class WeightAverage {
    private let parameters: TrainableParameters
    private let share: Float
    /// In the order of the parameters.
    let tensors: [Tensor]

    /// - Parameter share: how much of the average each update keeps.
    init(of parameters: TrainableParameters, keeping share: Float) {
        (self.parameters, self.share) = (parameters, share)
        tensors = parameters.shapes.indices.map { parameters[$0] * 1 }
    }

    var named: [(name: String, tensor: Tensor)] { zip(parameters.names, tensors).map { ("average.\($0)", $1) } }

    /// average ← share · average + (1 − share) · weights.
    func update() {
        for (index, average) in tensors.enumerated() { average.blend(share, parameters[index], 1 - share) }
    }

    /// Puts the average in the weights' place, and the weights in its own; a second time puts both back.
    func exchange() {
        for (index, average) in tensors.enumerated() {
            let weights = parameters[index] * 1
            parameters[index].overwrite(with: average, adding: false)
            average.overwrite(with: weights, adding: false)
        }
    }
}
