/// A contiguous, row-major array of one element type: a view into shared storage.
///
/// Activations are f32 `[rows, width]`; stored weights are any type, `[outputs, inputs]`. A tensor is immutable once
/// the operation that made it has returned.
package struct Tensor: Sendable {
    package let storage: Storage
    package let byteOffset: Int
    package let shape: Shape
    package let type: ElementType
    /// The device on which operations on this tensor compute; nil for stored weights.
    package let device: Device?
    /// The autograd node, through which gradients flow back; nil for what nobody differentiates by, which is everything
    /// outside of training.
    package let node: GradientNode?

    /// A view of `storage`.
    ///
    /// - Precondition: the view lies inside it, rows fill whole blocks.
    package init(storage: Storage, byteOffset: Int = 0, shape: Shape, type: ElementType) {
        self.init(storage: storage, byteOffset: byteOffset, shape: shape, type: type, device: nil)
    }

    package init(
        storage: Storage, byteOffset: Int = 0, shape: Shape, type: ElementType, device: Device?,
        node: GradientNode? = nil
    ) {
        precondition(shape.width % type.blockElements == 0, "Tensor: rows of \(shape) do not fill blocks of \(type)")
        let bytes = type.block.bytes(of: shape.elements)
        precondition(
            byteOffset >= 0 && byteOffset + bytes <= storage.bytes,
            "Tensor: \(shape) \(type) at \(byteOffset) does not fit \(storage.bytes) bytes")
        (self.storage, self.byteOffset, self.shape, self.type) = (storage, byteOffset, shape, type)
        (self.device, self.node) = (device, node)
    }

    /// Returns the same elements with another autograd node.
    package func tracked(by node: GradientNode?) -> Tensor {
        Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type: type, device: device, node: node)
    }

    /// An f32 tensor holding a copy of `values`.
    package init(_ values: [Float], shape: Shape) {
        precondition(values.count == shape.elements, "Tensor: \(values.count) values for \(shape)")
        let storage = Storage(bytes: values.count * 4)
        self.init(storage: storage, shape: shape, type: .f32)
        for i in values.indices { unsafe mutableFloats[i] = values[i] }
    }

    /// The device of the first operand that has one, for the operation named.
    package func device(for operation: String, or other: Tensor? = nil) -> Device {
        guard let device = device ?? other?.device else {
            preconditionFailure("\(operation): no operand lives on a device")
        }
        return device
    }

    /// The size of all elements in bytes.
    package var bytes: Int { type.block.bytes(of: shape.elements) }
    /// The size of one row, the elements along the last axis, in bytes.
    package var rowBytes: Int { type.block.bytes(of: shape.width) }

    package var pointer: UnsafeRawPointer { unsafe storage.pointer + byteOffset }

    /// The f32 elements.
    ///
    /// - Precondition: `type` is f32.
    package var floats: UnsafePointer<Float> {
        precondition(type == .f32, "Tensor: \(type) read as f32")
        return unsafe pointer.assumingMemoryBound(to: Float.self)
    }

    /// The f32 elements for the operation that is making this tensor.
    package var mutableFloats: UnsafeMutablePointer<Float> {
        precondition(type == .f32, "Tensor: \(type) written as f32")
        return unsafe (storage.mutablePointer + byteOffset).assumingMemoryBound(to: Float.self)
    }

    /// Returns a view of the same elements under another shape of equal size.
    package func reshaped(_ shape: Shape) -> Tensor {
        precondition(shape.elements == self.shape.elements, "reshaped: \(self.shape) to \(shape)")
        return Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type: type, device: device, node: node)
    }

    /// Rows `range` of the first axis, sharing storage.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(
            shape.rank >= 1 && range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
        var extents = shape.array
        let each = shape[0] == 0 ? 0 : bytes / shape[0]
        extents[0] = range.count
        let result = Tensor(
            storage: storage, byteOffset: byteOffset + range.lowerBound * each, shape: Shape(extents), type: type,
            device: device)
        guard let node else { return result }
        let (first, bytes) = (range.lowerBound * each, result.bytes)
        return result.recorded([self]) { gradient, flow in
            let whole = flow.device.make(node.shape).filled(with: 0)
            unsafe (whole.storage.mutablePointer + whole.byteOffset + first).copyMemory(
                from: gradient.pointer, byteCount: bytes)
            flow.add(whole, to: node)
        }
    }

    /// Elements `range` in their order, sharing storage; nobody differentiates by them.
    ///
    /// - Precondition: `type` is f32.
    package func elements(_ range: Range<Int>) -> Tensor {
        precondition(
            type == .f32 && range.lowerBound >= 0 && range.upperBound <= shape.elements,
            "elements \(range) of \(shape) \(type)")
        return Tensor(
            storage: storage, byteOffset: byteOffset + range.lowerBound * 4, shape: [range.count], type: type,
            device: device)
    }

    /// A copy of the elements.
    ///
    /// - Precondition: `type` is f32.
    package var values: [Float] {
        unsafe Array(UnsafeBufferPointer(start: floats, count: shape.elements))
    }
}

extension Tensor {
    /// A copy of the elements.
    ///
    /// - Precondition: `type` is i32.
    package var integers: [Int32] {
        precondition(type == .i32, "Tensor: \(type) read as i32")
        return unsafe Array(
            UnsafeBufferPointer(start: pointer.assumingMemoryBound(to: Int32.self), count: shape.elements))
    }
}
