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
}
