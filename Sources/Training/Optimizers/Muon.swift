import MartletLayers
package import MartletTensors

/// Momentum made orthogonal by five Newton–Schulz steps for the matrices inside the layers, AdamW for all else: token
/// and position tables, the projection to the vocabulary, norms and biases (Jordan et al. 2024; the step's size as in
/// arXiv:2502.16982, so that one learning rate serves both).
package final class Muon: Optimizer {
    private let momentum, decay: Float
    private let parts: ParameterParts
    private let adam: AdamW
    private let average: Moments
    /// The parameters that are stepped on as matrices, by number; AdamW steps the others.
    private let isInside: [Bool]

    package init(
        _ parts: ParameterParts, momentum: Float = 0.95, betas: (Double, Double) = (0.9, 0.95),
        epsilon: Float = 1e-8, decay: Float = 0
    ) {
        (self.parts, self.momentum, self.decay) = (parts, momentum, decay)
        adam = AdamW(parts, betas: betas, epsilon: epsilon, decay: decay)
        average = Moments("momentum", parts)
        isInside = parts.parameters.entries.map { entry in
            switch entry.role {
            case .tokens, .perLayerTokens, .positions, .segments, .head, .headTransform, .pooler: false
            default: entry.shape.rank == 2
            }
        }
    }

    package var state: [CheckpointArray] { average.named + adam.state }

    package func step(_ gradients: Gradients, rate: Float, scale: Float, number: Int) {
        for part in parts.indices where gradients.holds(parts.parameter(part)) {
            guard isInside[parts.parameter(part)] else {
                adam.step(part, gradients, rate: rate, scale: scale, number: number)
                continue
            }
            let (weight, average, gradient) = (parts.weight(part), average[part], parts.gradient(part, in: gradients))
            average.blend(momentum, gradient, scale)
            let direction = gradient * scale
            direction.blend(1, average, momentum)
            let (orthogonal, length) = Muon.orthogonal(direction)
            let rate = rate * parts.rateFactor(part)
            let size = rate * 0.2 * Float(max(weight.shape[0], weight.shape[1])).squareRoot()
            weight.blend(1 - rate * parts.decay(decay, of: part), orthogonal, -size / length)
        }
    }

    /// The orthogonal factor, near U Vᵀ of the singular value decomposition of `matrix` `[rows, columns]`, times a
    /// length that is told: with X of length 1, X ← a X + (b A + c A²) X and A = X Xᵀ, five times.
    ///
    /// Every A is a polynomial of the first, so all steps happen among matrices of the smaller side, Q = a + b A + c
    /// A², A ← Q A Q and P ← Q P, all symmetric; the matrix itself is multiplied once, by P.
    private static func orthogonal(_ matrix: Tensor) -> (product: Tensor, length: Float) {
        let length = Float(matrix.sumOfSquares().squareRoot() + 1e-7)
        var square = matrix.gram()
        square.blend(1 / (length * length), square, 0)
        var polynomial: Tensor?
        for step in 0..<5 {
            let mixed = square.multiplied(byCommuting: square)
            mixed.blend(2.0315, square, -4.7750)
            mixed.addToDiagonal(3.4445)
            polynomial = polynomial.map { mixed.multiplied(byCommuting: $0) } ?? mixed
            if step < 4 { square = mixed.multiplied(byCommuting: square).multiplied(byCommuting: mixed) }
        }
        let whole = polynomial ?? square
        let isTall = matrix.shape[0] > matrix.shape[1]
        let device = matrix.device(for: "orthogonal")
        let product =
            isTall
            ? matrix.multiplied(byTransposed: whole, on: device) : whole.multiplied(byTransposed: matrix, on: device)
        return (product, length)
    }
}

extension Tensor {
    /// Adds `value` to the diagonal of this square matrix, which the caller owns.
    fileprivate func addToDiagonal(_ value: Float) {
        for row in 0..<shape[0] { unsafe mutableFloats[row * (shape[1] + 1)] += value }
    }
}
