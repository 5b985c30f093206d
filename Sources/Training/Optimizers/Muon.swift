package import MartletLayers
package import MartletTensors

/// Momentum made orthogonal by five Newton–Schulz steps for the matrices inside the layers, AdamW for all else: token and position
/// tables, the projection to the vocabulary, norms and biases (Jordan et al. 2024; the step's size as in arXiv:2502.16982, so that one
/// learning rate serves both).
package final class Muon: Optimizer {
    private let momentum, decay: Float
    private let adam: AdamW
    private let average: Moments
    private let isInside: [Bool]

    package init(
        _ parameters: TrainableParameters, momentum: Float = 0.95, betas: (Double, Double) = (0.9, 0.95),
        epsilon: Float = 1e-8, decay: Float = 0
    ) {
        (self.momentum, self.decay) = (momentum, decay)
        adam = AdamW(parameters, betas: betas, epsilon: epsilon, decay: decay)
        average = Moments("momentum", parameters)
        isInside = zip(parameters.names, parameters.shapes).map { name, shape in
            let outside = ["tokens", "targetTokens", "positions", "segments", "head"]
            return shape.rank == 2 && !name.split(separator: ".").contains { outside.contains(String($0)) }
        }
    }

    package var state: [(name: String, tensor: Tensor)] { average.named + adam.state }

    package func step(
        _ parameters: TrainableParameters, _ gradients: Gradients, rate: Float, scale: Float, number: Int
    ) {
        for index in parameters.shapes.indices where gradients.holds(index) {
            guard isInside[index] else {
                adam.step(index, parameters, gradients, rate: rate, scale: scale, number: number)
                continue
            }
            let (weight, average) = (parameters[index], average[index])
            let gradient = gradients[index] * scale
            average.overwrite(with: average * momentum + gradient, adding: false)
            let direction = Muon.orthogonal(gradient + average * momentum)
            let size = rate * 0.2 * Float(max(weight.shape[0], weight.shape[1])).squareRoot()
            let kept = 1 - rate * parameters.decay(decay, of: index)
            weight.overwrite(with: weight * kept + direction * -size, adding: false)
        }
    }

    /// Near U Vᵀ of the singular value decomposition of `matrix` `[rows, columns]`: X ← a X + (b A + c A²) X with A = X Xᵀ, five times.
    private static func orthogonal(_ matrix: Tensor) -> Tensor {
        let isTall = matrix.shape[0] > matrix.shape[1]
        let device = matrix.device(for: "orthogonal")
        var x = isTall ? matrix.transposed(on: device) : matrix
        x = x * Float(1 / (x.sumOfSquares().squareRoot() + 1e-7))
        for _ in 0..<5 {
            let square = x.multiplied(byStored: x)
            let mixed = square * -4.7750 + square.multiplied(byTransposed: square, on: device) * 2.0315
            x = x * 3.4445 + mixed.multiplied(byTransposed: x, on: device)
        }
        return isTall ? x.transposed(on: device) : x
    }
}
