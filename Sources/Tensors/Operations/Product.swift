import CMartletKernels

extension Tensor {
    /// The linear product y = x Wᵀ + bias.
    ///
    /// - Parameters: `self` `[rows, inputs]`, `matrix` `[outputs, inputs]`, `bias` `[outputs]`.
    /// - Returns: `[rows, outputs]`.
    package func multiplied(by matrix: PackedMatrix, bias: Tensor? = nil) -> Tensor {
        multiplied(byEach: [matrix], biases: [bias])[0]
    }

    /// The products of the same rows with several matrices, in one parallel loop: what attention and gated
    /// feed-forwards begin with.
    ///
    /// - Returns: `[rows, outputs]` for each matrix, the same bits as one by one.
    package func multiplied(byEach matrices: [PackedMatrix], biases: [Tensor?]) -> [Tensor] {
        precondition(biases.count == matrices.count, "product: \(matrices.count) matrices, \(biases.count) biases")
        for (matrix, bias) in zip(matrices, biases) {
            precondition(
                shape.rank == 2 && shape[1] == matrix.inputs
                    && (bias?.shape.elements ?? matrix.width) == matrix.width,
                "product: \(shape) with a matrix of [\(matrix.width), \(matrix.inputs)] and a bias of \(bias?.shape ?? [])"
            )
        }
        precondition(node == nil, "product: gradients do not flow through a packed weight; store it")
        let device = device(for: "product")
        let finish = beginDivided(matrices, biases)
        let results = Tensor.multiplied(
            shape[0], byEach: matrices, biases: biases, activations: prepared(for: matrices, on: device), on: device)
        finish?(results)
        return results
    }

    /// The products of rows that are prepared already, for each matrix, in one parallel loop.
    static func multiplied(
        _ rows: Int, byEach matrices: [PackedMatrix], biases: [Tensor?], activations: [Tensor], on device: Device
    ) -> [Tensor] {
        let inputs = matrices.first?.inputs ?? 0
        let results = matrices.map { device.make([rows, $0.width]) }
        let panels = matrices.reduce(0) { $0 + $1.panels }
        let bytes = matrices.map { martlet_activation_bytes($0.type.kernelType, inputs) }
        let tiles = ProductTiles(rows: rows, rowBytes: bytes.max() ?? 0, panels: panels)
        tiles.run(cost: Int(MARTLET_PANEL) * inputs, on: device) { rows, panels in
            var first = 0
            for (index, matrix) in matrices.enumerated() {
                let part = panels.clamped(to: first..<first + matrix.panels)
                if !part.isEmpty {
                    unsafe martlet_matmul(
                        matrix.type.kernelType, matrix.storage.pointer, matrix.outputs, matrix.inputs,
                        activations[index].pointer + rows.lowerBound * bytes[index], rows.count,
                        (biases[index]?.floats).map { unsafe $0 + matrix.columns.lowerBound },
                        results[index].mutableFloats + rows.lowerBound * matrix.width + matrix.columns.lowerBound,
                        matrix.width, false,
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

    /// Memory for this tensor's rows when they are prepared: bytes of no type; i32 is the one whose elements nothing
    /// converts.
    func opaque(for type: ElementType, inputs: Int, on device: Device) -> Tensor {
        device.make([shape[0], (martlet_activation_bytes(type.kernelType, inputs) + 3) / 4], .i32)
    }

    func prepared(for type: ElementType, on device: Device) -> Tensor {
        let (rows, inputs) = (shape[0], shape[1])
        let bytes = martlet_activation_bytes(type.kernelType, inputs)
        let prepared = opaque(for: type, inputs: inputs, on: device)
        device.parallel(rows, cost: inputs * 4) { range in
            unsafe martlet_prepare(
                type.kernelType, floats + range.lowerBound * inputs, range.count, inputs,
                prepared.storage.mutablePointer + prepared.byteOffset + range.lowerBound * bytes)
        }
        return prepared
    }
}
