import CMartletKernels

extension Tensor {
    /// y = x Wᵀ + bias.
    ///
    /// - Parameters: `self` `[rows, inputs]`, `matrix` `[outputs, inputs]`, `bias` `[outputs]`.
    /// - Returns: `[rows, outputs]`.
    package func multiplied(by matrix: PackedMatrix, bias: Tensor? = nil) -> Tensor {
        multiplied(byEach: [matrix], biases: [bias])[0]
    }

    /// The products of the same rows with several matrices, in one parallel loop: what attention and gated feed-forwards begin with.
    ///
    /// - Returns: `[rows, outputs]` for each matrix, the same bits as one by one.
    package func multiplied(byEach matrices: [PackedMatrix], biases: [Tensor?]) -> [Tensor] {
        precondition(biases.count == matrices.count, "product: \(matrices.count) matrices, \(biases.count) biases")
        for (matrix, bias) in zip(matrices, biases) {
            precondition(
                shape.rank == 2 && shape[1] == matrix.inputs
                    && (bias?.shape.elements ?? matrix.outputs) == matrix.outputs,
                "product: \(shape) with a matrix of [\(matrix.outputs), \(matrix.inputs)] and a bias of \(bias?.shape ?? [])"
            )
        }
        let device = device(for: "product")
        let rows = shape[0]
        let results = matrices.map { device.make([rows, $0.outputs]) }
        let activations = prepared(for: matrices, on: device)
        let panels = matrices.reduce(0) { $0 + $1.panels }
        device.parallel(panels, cost: Int(MARTLET_PANEL) * shape[1] * max(rows, 1)) { range in
            var first = 0
            for (index, matrix) in matrices.enumerated() {
                let part = range.clamped(to: first..<first + matrix.panels)
                if !part.isEmpty {
                    unsafe martlet_matmul(
                        matrix.type.kernelType, matrix.storage.pointer, matrix.outputs, matrix.inputs,
                        activations[index].pointer,
                        rows, biases[index]?.floats, results[index].mutableFloats, matrix.outputs, false,
                        part.lowerBound - first, part.upperBound - first)
                }
                first += matrix.panels
            }
        }
        return results
    }

    /// The rows as products with each matrix read them: themselves for dense types, int8 blocks for quantized ones.
    private func prepared(for matrices: [PackedMatrix], on device: Device) -> [Tensor] {
        var byType: [ElementType: Tensor] = [:]
        return matrices.map { matrix in
            guard matrix.type.isBlockQuantized else { return self }
            if let known = byType[matrix.type] { return known }
            let prepared = prepared(for: matrix.type, on: device)
            byType[matrix.type] = prepared
            return prepared
        }
    }

    private func prepared(for type: ElementType, on device: Device) -> Tensor {
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
