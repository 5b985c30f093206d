import CMartletKernels

extension Tensor {
    /// Returns the tensor quantized to another element type, the scales of its blocks searched for the least Σ weight ·
    /// (value − decoded)²: never worse than `converted(to:on:)`, to which it is equal for plain types. Lives in memory
    /// of its own.
    ///
    /// - Parameter weights: one per column, or several rows of them, each for an equal share of the rows: `[experts,
    ///   columns]`. Nil when all count alike.
    /// - Precondition: rows fill whole blocks of `type`, which is not i32.
    package func rounded(to type: ElementType, weights: [Float]? = nil, on device: Device) -> Tensor {
        let (rows, width) = (shape.rows, shape.width)
        let shares = (weights?.count ?? width) / max(width, 1)
        precondition(
            width % type.blockElements == 0 && type != .i32 && shares > 0 && rows % shares == 0
                && weights?.count ?? width == shares * width,
            "rounded: \(shape) to \(type) with \(weights?.count ?? 0) weights")
        let rowBytes = type.block.bytes(of: width)
        let result = Tensor(storage: Storage(bytes: rows * rowBytes), shape: shape, type: type)
        let every = weights ?? Array(repeating: 1, count: width)
        device.parallel(rows, cost: width * 256) { range in
            // One row at a time in f32: a vocabulary's table would take more memory than the model.
            var values = [Float](repeating: 0, count: width)
            for row in range {
                unsafe martlet_decode(self.type.kernelType, pointer + row * self.rowBytes, &values, width)
                let target = unsafe result.storage.mutablePointer + row * rowBytes
                let isKnown = unsafe every.withUnsafeBufferPointer { every in
                    let own = unsafe every.baseAddress.map { unsafe $0 + row * shares / rows * width }
                    return unsafe martlet_encode_searched(type.kernelType, values, own, target, width)
                }
                precondition(isKnown, "rounded: \(type) cannot be written")
            }
        }
        return result
    }
}
