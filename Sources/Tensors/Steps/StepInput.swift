import CMartletKernels

// Single rows outside of phases: what stands before the first layer.

extension Tensor {
    /// Writes row `index` as f32, times `scale`, to `target`.
    package func decodeRow(_ index: Int, scale: Float, to target: UnsafeMutablePointer<Float>) {
        precondition(index >= 0 && index < shape.rows, "decodeRow: row \(index) of \(shape)")
        let width = shape.width
        unsafe martlet_decode(type.kernelType, pointer + index * rowBytes, target, width)
        if scale != 1 { unsafe martlet_scale(target, scale, target, width) }
    }

    /// Adds the first `width` elements to those at `target`.
    package func add(to target: UnsafeMutablePointer<Float>, width: Int) {
        unsafe martlet_add(target, floats, target, width)
    }

    /// Writes all elements to `target`.
    package func write(to target: UnsafeMutablePointer<Float>) {
        unsafe target.update(from: floats, count: shape.elements)
    }
}

extension StepNorm {
    /// Norms one row of `width` in place; the elements of `row` are overwritten.
    package func apply(to target: UnsafeMutablePointer<Float>, over row: Tensor, width: Int) {
        unsafe row.mutableFloats.update(from: target, count: width)
        switch self {
        case .rms(let weight, let offset, let epsilon):
            unsafe martlet_rms_norm(row.floats, weight.floats, offset, epsilon, target, 1, width)
        case .layer(let weight, let bias, let epsilon):
            unsafe martlet_layer_norm(row.floats, weight?.floats, bias?.floats, epsilon, target, 1, width)
        }
    }
}
