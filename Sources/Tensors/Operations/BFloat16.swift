import CMartletKernels

extension Tensor {
    /// The numbers of the tensor rounded to bf16; gradients pass as they are, in f32. The tensor itself when it is
    /// bf16.
    package func asBFloat16() -> Tensor {
        guard type != .bf16 else { return self }
        let device = device(for: "asBFloat16")
        let result = device.make(shape, .bf16)
        device.parallel(shape.elements, cost: 1, grain: 64) { range in
            unsafe martlet_round_bf16(floats + range.lowerBound, result.mutableHalves + range.lowerBound, range.count)
        }
        return result.passing(to: self)
    }

    /// This tensor as f32, widened from bf16. The tensor itself when it is f32.
    package func asFloat() -> Tensor {
        guard type == .bf16 else { return self }
        let device = device(for: "asFloat")
        let result = device.make(shape)
        device.parallel(shape.elements, cost: 1, grain: 64) { range in
            unsafe martlet_widen_bf16(halves + range.lowerBound, result.mutableFloats + range.lowerBound, range.count)
        }
        return result.passing(to: self)
    }

    private func passing(to operand: Tensor) -> Tensor {
        guard let node = operand.node else { return self }
        return recorded([operand]) { gradient, flow in flow.add(gradient, to: node) }
    }

    var halves: UnsafePointer<UInt16> {
        precondition(type == .bf16, "Tensor: \(type) read as bf16")
        return unsafe pointer.assumingMemoryBound(to: UInt16.self)
    }

    /// The bf16 elements for the operation that is making this tensor.
    var mutableHalves: UnsafeMutablePointer<UInt16> {
        precondition(type == .bf16, "Tensor: \(type) written as bf16")
        return unsafe (storage.mutablePointer + byteOffset).assumingMemoryBound(to: UInt16.self)
    }
}

/// A range of elements of several tensors, f32 or bf16, as f32: whole where all are f32, else in runs whose copies stay
/// in the first-level cache.
@safe struct FloatRuns {
    let ranges: [Range<Int>]
    private let memory: Storage?
    private static let length = 1024

    init(_ range: Range<Int>, _ tensors: [Tensor], on device: Device) {
        guard tensors.contains(where: { $0.type == .bf16 }) else {
            (ranges, memory) = ([range], nil)
            return
        }
        ranges = stride(from: range.lowerBound, to: range.upperBound, by: FloatRuns.length).map {
            $0..<min($0 + FloatRuns.length, range.upperBound)
        }
        memory = device.scratch(bytes: tensors.count * FloatRuns.length * 4)
    }

    /// The elements of one run; `place` numbers the tensors.
    func floats(of tensor: Tensor, _ run: Range<Int>, _ place: Int) -> UnsafePointer<Float> {
        guard tensor.type == .bf16 else { return unsafe tensor.floats + run.lowerBound }
        let copy = unsafe copy(place)
        unsafe martlet_widen_bf16(tensor.halves + run.lowerBound, copy, run.count)
        return unsafe UnsafePointer(copy)
    }

    /// The place where a run of the result is written, before `finish`.
    func target(_ tensor: Tensor, _ run: Range<Int>, _ place: Int) -> UnsafeMutablePointer<Float> {
        unsafe tensor.type == .bf16 ? copy(place) : tensor.mutableFloats + run.lowerBound
    }

    func finish(_ tensor: Tensor, _ run: Range<Int>, _ place: Int) {
        guard tensor.type == .bf16 else { return }
        unsafe martlet_round_bf16(copy(place), tensor.mutableHalves + run.lowerBound, run.count)
    }

    private func copy(_ place: Int) -> UnsafeMutablePointer<Float> {
        guard let memory else { preconditionFailure("FloatRuns: no copies of f32") }
        return unsafe memory.mutablePointer.assumingMemoryBound(to: Float.self) + place * FloatRuns.length
    }
}
