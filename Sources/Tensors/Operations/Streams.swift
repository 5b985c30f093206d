import MartletPlatform

// What models with several residual streams do row by row: AltUp, and the sparse gates that came with it (Gemma 3n).

extension Tensor {
    /// Each row stretched to the root mean square of the same row of `other`: x · rms(other) / max(rms(x), √floor).
    ///
    /// - Parameters: `self` and `other` `[rows, width]`; `floor`: the least mean square of a row of `self`.
    package func scaled(toMagnitudeOf other: Tensor, floor: Float) -> Tensor {
        precondition(shape == other.shape, "scaled to magnitude: \(shape) and \(other.shape)")
        let result = unsafe byRow("scaled to magnitude") { row, target in
            let (own, wanted) = (Double(meanSquare(row)), Double(other.meanSquare(row)))
            let factor = Float((wanted / max(own, Double(floor))).squareRoot())
            for i in 0..<shape.width { unsafe target[i] = floats[row * shape.width + i] * factor }
        }
        if node == nil && other.node == nil { return result }
        let (x, y, xNode, yNode) = (untracked, other.untracked, node, other.node)
        return result.recorded([self, other]) { gradient, flow in
            let width = x.shape.width
            let slopes = (0..<x.shape.rows).map { row -> (own: Double, wanted: Double, product: Double, held: Bool) in
                var product = 0.0
                for i in row * width..<(row + 1) * width { unsafe product += Double(gradient.floats[i] * x.floats[i]) }
                let mean = x.meanSquare(row)
                return (
                    Double(max(mean, floor)).squareRoot(), Double(y.meanSquare(row)).squareRoot(), product,
                    mean <= floor
                )
            }
            let dx = unsafe x.byRow("scaled to magnitude") { row, target in
                let (own, wanted, product, held) = slopes[row]
                let pull = held ? 0 : product * wanted / (own * own * own * Double(width))
                for i in 0..<width {
                    let at = row * width + i
                    unsafe target[i] = Float(Double(gradient.floats[at]) * wanted / own - pull * Double(x.floats[at]))
                }
            }
            flow.add(dx, to: xNode)
            let dy = unsafe y.byRow("scaled to magnitude") { row, target in
                let (own, wanted, product, _) = slopes[row]
                let pull = wanted > 0 ? product / (own * wanted * Double(width)) : 0
                for i in 0..<width { unsafe target[i] = Float(pull * Double(y.floats[row * width + i])) }
            }
            flow.add(dy, to: yNode)
        }
    }

    /// The excess of each element over its row's mean and so many standard deviations, and zero elsewhere: max(0, x −
    /// mean − deviations · σ), the Gaussian top-k of Gemma 3n.
    package func sparsified(deviations: Float) -> Tensor {
        let width = shape.width
        let result = unsafe byRow("sparsified") { row, target in
            let (mean, deviation) = moments(row)
            let cut = Float(mean + Double(deviations) * deviation)
            for i in 0..<width { unsafe target[i] = max(0, floats[row * width + i] - cut) }
        }
        guard let node else { return result }
        let x = untracked
        return result.recorded([self]) { gradient, flow in
            let dx = unsafe x.byRow("sparsified") { row, target in
                let (mean, deviation) = x.moments(row)
                var passed = 0.0
                for i in row * width..<(row + 1) * width where unsafe result.floats[i] > 0 {
                    unsafe passed += Double(gradient.floats[i])
                }
                for i in 0..<width {
                    let at = row * width + i
                    let own = unsafe result.floats[at] > 0 ? Double(gradient.floats[at]) : 0
                    let distance = unsafe Double(x.floats[at]) - mean
                    let slope = deviation > 0 ? Double(deviations) * distance / deviation : 0
                    unsafe target[i] = Float(own - passed * (1 + slope) / Double(width))
                }
            }
            flow.add(dx, to: node)
        }
    }

    /// A tensor of this shape, whose rows `make` writes.
    private func byRow(_ name: String, _ make: (Int, UnsafeMutablePointer<Float>) -> Void) -> Tensor {
        let device = device(for: name)
        let result = device.make(shape)
        device.parallel(shape.rows, cost: shape.width * 4) { range in
            for row in range { unsafe make(row, result.mutableFloats + row * shape.width) }
        }
        return result
    }

    private func meanSquare(_ row: Int) -> Float {
        var sum = 0.0
        for i in row * shape.width..<(row + 1) * shape.width { unsafe sum += Double(floats[i]) * Double(floats[i]) }
        return Float(sum / Double(max(shape.width, 1)))
    }

    private func moments(_ row: Int) -> (mean: Double, deviation: Double) {
        var (sum, squares) = (0.0, 0.0)
        let columns = row * shape.width..<(row + 1) * shape.width
        for i in columns { unsafe sum += Double(floats[i]) }
        let mean = sum / Double(max(shape.width, 1))
        for i in columns {
            let distance = unsafe Double(floats[i]) - mean
            squares += distance * distance
        }
        return (mean, (squares / Double(max(shape.width, 1))).squareRoot())
    }
}
