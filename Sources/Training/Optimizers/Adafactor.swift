import MartletPlatform
package import MartletTensors

/// Second moments of matrices kept as one number per row and one per column (arXiv:1804.04235), steps relative to the
/// size of the parameter; as torch.optim.Adafactor computes it.
package final class Adafactor: Optimizer {
    private let parts: ParameterParts
    private let decay: Float
    /// The means of rows and columns of matrices, and the second moments of others.
    private let rows, columns: Moments
    private static let smallest = Double(Float.ulpOfOne)

    package init(_ parts: ParameterParts, decay: Float = 0) {
        (self.parts, self.decay) = (parts, decay)
        rows = Moments("rows", parts) { $0.rank >= 2 ? [$0.rows] : $0 }
        columns = Moments("columns", parts) { $0.rank >= 2 ? [$0.width] : [0] }
    }

    package var state: [CheckpointArray] {
        rows.named + columns.named.filter { $0.shape.elements > 0 }
    }

    package func step(_ gradients: Gradients, rate: Float, scale: Float, number: Int) {
        let share = Float(pow(Double(number), -0.8))
        let relative = min(rate, 1 / Float(number).squareRoot())
        for part in parts.indices where gradients.holds(parts.parameter(part)) {
            let (weight, gradient) = (parts.weight(part), parts.gradient(part, in: gradients) * scale)
            let count = Double(weight.shape.elements)
            let size =
                Float(max(1e-3, (weight.sumOfSquares() / count).squareRoot()))
                * relative * parts.rateFactor(part)
            let direction = direction(part, gradient, share: share)
            let length = (direction.sumOfSquares() / count).squareRoot()
            let kept = 1 - rate * parts.rateFactor(part) * parts.decay(decay, of: part)
            weight.overwrite(with: weight * kept + direction * (-size / Float(max(1, length))), adding: false)
        }
    }

    /// The direction of a step, gradient / √(second moment), after the moments have taken the gradient in.
    private func direction(_ part: Int, _ gradient: Tensor, share: Float) -> Tensor {
        let squares = gradient * gradient
        guard gradient.shape.rank >= 2 else {
            rows[part].move(towards: squares.reshaped(rows[part].shape), share)
            let moments = rows[part].values
            let factors = moments.map { 1 / max($0, Float(Adafactor.smallest * Adafactor.smallest)).squareRoot() }
            return gradient * gradient.device(for: "adafactor").tensor(factors, shape: gradient.shape)
        }
        let (height, width) = (gradient.shape.rows, gradient.shape.width)
        let device = gradient.device(for: "adafactor")
        let matrix = squares.reshaped([height, width])
        let rowSums = matrix.multiplied(byStored: device.make([1, width]).filled(with: 1))
        let columnSums = device.make([1, height]).filled(with: 1).multiplied(byTransposed: matrix, on: device)
        rows[part].move(towards: (rowSums * (1 / Float(width))).reshaped([height]), share)
        columns[part].move(towards: (columnSums * (1 / Float(height))).reshaped([width]), share)
        let rowMoments = rows[part].values
        let mean = max(Adafactor.smallest, rowMoments.reduce(0) { $0 + Double($1) } / Double(height))
        let columnFactors = columns[part].values.map { Double($0) / mean }
        let result = device.make(gradient.shape)
        device.parallel(height, cost: width * 4) { range in
            for row in range {
                for column in 0..<width {
                    let moment = Float(Double(rowMoments[row]) * columnFactors[column])
                    let floor = Float(Adafactor.smallest * Adafactor.smallest)
                    let at = row * width + column
                    unsafe result.mutableFloats[at] = gradient.floats[at] / max(moment, floor).squareRoot()
                }
            }
        }
        return result
    }
}

extension Tensor {
    /// Moves a tensor: self ← self + share · (other − self), for a tensor that the caller owns.
    fileprivate func move(towards other: Tensor, _ share: Float) {
        overwrite(with: self * (1 - share) + other * share, adding: false)
    }
}
