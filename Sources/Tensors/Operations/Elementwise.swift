import CMartletKernels

extension Tensor {
    /// The element-wise sum of two tensors of one size.
    package static func + (a: Tensor, b: Tensor) -> Tensor {
        let sum = unsafe a.combined(with: b, "+", cost: 1) { unsafe martlet_add($0, $1, $2, $3) }
        if a.node == nil && b.node == nil { return sum }
        let (first, second) = (a.node, b.node)
        return sum.recorded([a, b]) { gradient, flow in
            flow.add(gradient, to: first)
            flow.add(gradient, to: second)
        }
    }

    /// The element-wise product of two tensors of one size.
    package static func * (a: Tensor, b: Tensor) -> Tensor {
        let product = unsafe a.combined(with: b, "*", cost: 1) { unsafe martlet_multiply($0, $1, $2, $3) }
        if a.node == nil && b.node == nil { return product }
        let (first, second) = (a.node, b.node)
        let (x, y) = (a.untracked, b.untracked)
        return product.recorded([a, b]) { gradient, flow in
            if let first { flow.add(gradient * y, to: first) }
            if let second { flow.add(gradient * x, to: second) }
        }
    }

    package static func * (a: Tensor, factor: Float) -> Tensor {
        let product = unsafe a.mapped("*", cost: 1) { unsafe martlet_scale($0, factor, $1, $2) }
        guard let node = a.node else { return product }
        return product.recorded([a]) { gradient, flow in flow.add(gradient * factor, to: node) }
    }

    /// The soft cap, cap · tanh(x / cap) (Gemma 2, arXiv:2408.00118).
    package func softCapped(_ cap: Float) -> Tensor {
        let result = unsafe mapped("softCapped", cost: 16) { unsafe martlet_soft_cap($0, cap, $1, $2) }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            let dx = unsafe result.combined(with: gradient, "softCapped", cost: 4) {
                unsafe martlet_soft_cap_backward($0, $1, cap, $2, $3)
            }
            flow.add(dx, to: node)
        }
    }

    /// This tensor, which the caller is making, with `value` in every element.
    package func filled(with value: Float) -> Tensor {
        device(for: "filled").parallel(shape.elements, cost: 1, grain: 16) { range in
            unsafe (mutableFloats + range.lowerBound).update(repeating: value, count: range.count)
        }
        return self
    }

    /// Writes the elements of `other` over those of this tensor, which the caller owns, or adds them.
    package func overwrite(with other: Tensor, adding: Bool) {
        precondition(shape.elements == other.shape.elements, "overwrite: \(shape) with \(other.shape)")
        device(for: "overwrite", or: other).parallel(shape.elements, cost: 1, grain: 16) { range in
            let target = unsafe mutableFloats + range.lowerBound
            let source = unsafe other.floats + range.lowerBound
            if adding {
                unsafe martlet_add(target, source, target, range.count)
            } else {
                unsafe target.update(from: source, count: range.count)
            }
        }
    }

    /// Blends two tensors: self · factor + other · otherFactor, written to this tensor's memory, which the caller owns.
    package func blend(_ factor: Float, _ other: Tensor, _ otherFactor: Float) {
        precondition(shape.elements == other.shape.elements, "blend: \(shape) and \(other.shape)")
        device(for: "blend", or: other).parallel(shape.elements, cost: 1, grain: 16) { range in
            let first = range.lowerBound
            unsafe martlet_blend(
                floats + first, factor, other.floats + first, otherFactor, mutableFloats + first, range.count)
        }
    }

    /// The result has this tensor's type, f32 or bf16; the kernel sees f32.
    func mapped(
        _ name: String, cost: Int, _ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    ) -> Tensor {
        let device = device(for: name)
        let result = device.make(shape, type)
        device.parallel(shape.elements, cost: cost, grain: 16) { range in
            let runs = FloatRuns(range, [self, result], on: device)
            for run in runs.ranges {
                unsafe kernel(runs.floats(of: self, run, 0), runs.target(result, run, 1), run.count)
                runs.finish(result, run, 1)
            }
        }
        return result
    }

    /// The result is bf16 where both operands are, f32 otherwise.
    func combined(
        with other: Tensor, _ name: String, cost: Int,
        _ kernel: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    ) -> Tensor {
        precondition(shape.elements == other.shape.elements, "\(name): \(shape) and \(other.shape)")
        let device = device(for: name, or: other)
        let result = device.make(shape, type == .bf16 && other.type == .bf16 ? .bf16 : .f32)
        device.parallel(shape.elements, cost: cost, grain: 16) { range in
            let runs = FloatRuns(range, [self, other, result], on: device)
            for run in runs.ranges {
                unsafe kernel(
                    runs.floats(of: self, run, 0), runs.floats(of: other, run, 1), runs.target(result, run, 2),
                    run.count)
                runs.finish(result, run, 2)
            }
        }
        return result
    }
}
