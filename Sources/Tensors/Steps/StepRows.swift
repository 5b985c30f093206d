/// Rows of a step's memory, `[rows, width]`: what one phase leaves for others.
@safe package struct StepRows {
    private let storage: Storage
    package let width: Int

    init(_ storage: Storage, width: Int) { (self.storage, self.width) = (storage, width) }

    var floats: UnsafeMutablePointer<Float> {
        unsafe storage.mutablePointer.assumingMemoryBound(to: Float.self)
    }

    /// The first `rows` rows as a tensor, `[rows, width]`, until they are overwritten.
    package func tensor(_ rows: Int, on device: Device) -> Tensor {
        Tensor(storage: storage, byteOffset: 0, shape: [rows, width], type: .f32, device: device)
    }

    /// Overwrites the first rows with those of `tensor`, which are of this width.
    package func set(_ tensor: Tensor) {
        precondition(
            tensor.shape.elements % width == 0 && tensor.shape.elements * 4 <= storage.bytes,
            "StepRows: \(tensor.shape) for rows of \(width)")
        unsafe tensor.write(to: floats)
    }
}
