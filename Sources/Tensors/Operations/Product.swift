import CMartletKernels

extension Tensor {
    /// y = x Wᵀ + bias.
    ///
    /// - Parameters: `self` `[rows, inputs]`, `matrix` `[outputs, inputs]`, `bias` `[outputs]`.
    /// - Returns: `[rows, outputs]`.
    package func multiplied(by matrix: PackedMatrix, bias: Tensor? = nil) -> Tensor {
        precondition(
            shape.rank == 2 && shape[1] == matrix.inputs,
            "product: \(shape) with a matrix of [\(matrix.outputs), \(matrix.inputs)]")
        precondition(bias.map { $0.shape.elements == matrix.outputs } ?? true, "product: bias of \(bias?.shape ?? [])")
        let device = device(for: "product")
        let rows = shape[0]
        let result = device.make([rows, matrix.outputs])
        let activations = prepared(for: matrix.type, on: device)
        device.parallel(matrix.panels, cost: Int(MARTLET_PANEL) * matrix.inputs * max(rows, 1)) { range in
            unsafe martlet_matmul(
                matrix.type.kernelType, matrix.storage.pointer, matrix.outputs, matrix.inputs, activations.pointer,
                rows,
                bias?.floats, result.mutableFloats, matrix.outputs, false, range.lowerBound, range.upperBound)
        }
        return result
    }

    /// The rows as products with weights of `type` read them: themselves for dense types, int8 blocks for quantized ones.
    private func prepared(for type: ElementType, on device: Device) -> Tensor {
        guard type.isBlockQuantized else { return self }
        let (rows, inputs) = (shape[0], shape[1])
        let bytes = martlet_activation_bytes(type.kernelType, inputs)
        // Prepared rows are opaque bytes; i32 is the type whose elements nothing converts.
        let prepared = device.make([rows, (bytes + 3) / 4], .i32)
        device.parallel(rows, cost: inputs * 4) { range in
            unsafe martlet_prepare(
                type.kernelType, floats + range.lowerBound * inputs, range.count, inputs,
                prepared.storage.mutablePointer + prepared.byteOffset + range.lowerBound * bytes)
        }
        return prepared
    }
}
