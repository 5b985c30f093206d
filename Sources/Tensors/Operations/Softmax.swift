import CMartletKernels

extension Tensor {
    /// The softmax exp(x) / Σ exp(x) over the last axis.
    package func softmax() -> Tensor {
        let device = device(for: "softmax")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 16) { range in
            unsafe martlet_softmax(
                floats + range.lowerBound * width, result.mutableFloats + range.lowerBound * width, range.count, width)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            let dx = flow.device.make(result.shape)
            flow.device.parallel(result.shape.rows, cost: width * 3) { range in
                let first = range.lowerBound * width
                unsafe martlet_softmax_backward(
                    result.floats + first, gradient.floats + first, dx.mutableFloats + first, range.count, width)
            }
            flow.add(dx, to: node)
        }
    }

    /// Adds row i of `source`, times weights[i], to row rows[i] of this tensor, in order. For an operation on a tensor
    /// that it has made itself.
    package func add(rows: [Int], of source: Tensor, weights: [Float]) {
        precondition(
            rows.count == source.shape.rows && weights.count == rows.count && source.shape.width == shape.width,
            "add rows: \(rows.count) rows and \(weights.count) weights of \(source.shape) to \(shape)")
        let width = shape.width
        for (index, row) in rows.enumerated() {
            precondition(row >= 0 && row < shape.rows, "add rows: row \(row) of \(shape)")
            let target = unsafe mutableFloats + row * width
            let addend = unsafe source.floats + index * width
            for i in 0..<width { unsafe target[i] += addend[i] * weights[index] }
        }
    }
}
