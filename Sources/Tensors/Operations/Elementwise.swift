import CMartletKernels

extension Tensor {
    /// The element-wise sum of two tensors of one size.
    package static func + (a: Tensor, b: Tensor) -> Tensor {
        unsafe a.combined(with: b, "+", cost: 1) { unsafe martlet_add($0, $1, $2, $3) }
    }

    /// The element-wise product of two tensors of one size.
    package static func * (a: Tensor, b: Tensor) -> Tensor {
        unsafe a.combined(with: b, "*", cost: 1) { unsafe martlet_multiply($0, $1, $2, $3) }
    }

    package static func * (a: Tensor, factor: Float) -> Tensor {
        unsafe a.mapped("*", cost: 1) { unsafe martlet_scale($0, factor, $1, $2) }
    }

    /// cap · tanh(x / cap) (Gemma 2, arXiv:2408.00118).
    package func softCapped(_ cap: Float) -> Tensor {
        unsafe mapped("softCapped", cost: 16) { unsafe martlet_soft_cap($0, cap, $1, $2) }
    }

    func mapped(
        _ name: String, cost: Int, _ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    ) -> Tensor {
        let device = device(for: name)
        let result = device.make(shape)
        device.parallel(shape.elements, cost: cost, grain: 16) { range in
            unsafe kernel(floats + range.lowerBound, result.mutableFloats + range.lowerBound, range.count)
        }
        return result
    }

    func combined(
        with other: Tensor, _ name: String, cost: Int,
        _ kernel: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    ) -> Tensor {
        precondition(shape.elements == other.shape.elements, "\(name): \(shape) and \(other.shape)")
        let device = device(for: name, or: other)
        let result = device.make(shape)
        device.parallel(shape.elements, cost: cost, grain: 16) { range in
            unsafe kernel(
                floats + range.lowerBound, other.floats + range.lowerBound, result.mutableFloats + range.lowerBound,
                range.count)
        }
        return result
    }
}
