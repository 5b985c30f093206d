import CMartletKernels

extension Tensor {
    /// x / √(mean(x²) + epsilon) · (weight + weightOffset), over the last axis (arXiv:1910.07467).
    ///
    /// - Parameters: `self` `[…, width]`, `weight` `[width]`.
    package func rmsNorm(weight: Tensor, weightOffset: Float, epsilon: Float) -> Tensor {
        precondition(weight.shape.elements == shape.width, "rmsNorm: \(shape) with a weight of \(weight.shape)")
        let device = device(for: "rmsNorm")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 2) { range in
            unsafe martlet_rms_norm(
                floats + range.lowerBound * width, weight.floats, weightOffset, epsilon,
                result.mutableFloats + range.lowerBound * width, range.count, width)
        }
        return result
    }

    /// (x − mean) / √(variance + epsilon) · weight + bias, over the last axis (arXiv:1607.06450).
    ///
    /// - Parameters: `self` `[…, width]`, `weight` and `bias` `[width]`.
    package func layerNorm(weight: Tensor?, bias: Tensor?, epsilon: Float) -> Tensor {
        for operand in [weight, bias].compactMap({ $0 }) {
            precondition(operand.shape.elements == shape.width, "layerNorm: \(shape) with \(operand.shape)")
        }
        let device = device(for: "layerNorm")
        let (result, width) = (device.make(shape), shape.width)
        device.parallel(shape.rows, cost: width * 3) { range in
            unsafe martlet_layer_norm(
                floats + range.lowerBound * width, weight?.floats, bias?.floats, epsilon,
                result.mutableFloats + range.lowerBound * width, range.count, width)
        }
        return result
    }
}
