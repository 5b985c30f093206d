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
        precondition(node == nil, "product: gradients do not flow through a packed weight; store it")
        let device = device(for: "product")
        return Tensor.multiplied(
            shape[0], byEach: matrices, biases: biases, activations: prepared(for: matrices, on: device), on: device)
    }

    /// The same for rows that are prepared already, for each matrix.
    private static func multiplied(
        _ rows: Int, byEach matrices: [PackedMatrix], biases: [Tensor?], activations: [Tensor], on device: Device
    ) -> [Tensor] {
        let inputs = matrices.first?.inputs ?? 0
        let results = matrices.map { device.make([rows, $0.outputs]) }
        let panels = matrices.reduce(0) { $0 + $1.panels }
        device.parallel(panels, cost: Int(MARTLET_PANEL) * inputs * max(rows, 1)) { range in
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

    /// down(f(gate(x)) · up(x)), or down(f(up(x))) without a gate: what lies between the products never goes to memory as f32 where `down`
    /// is quantized.
    ///
    /// - Returns: `[rows, down's outputs]`, the same bits as step by step.
    package func fedForward(gate: StepMatrix?, up: StepMatrix, _ f: Activation, down: StepMatrix) -> Tensor {
        let (device, rows, hidden, first) = (device(for: "fedForward"), shape[0], up.matrix.outputs, gate ?? up)
        precondition(
            shape.rank == 2 && shape[1] == up.matrix.inputs && first.matrix.inputs == shape[1]
                && first.matrix.outputs == hidden && first.matrix.type == up.matrix.type
                && down.matrix.inputs == hidden,
            "fedForward: \(shape) to \(hidden) columns of \(up.matrix.type), then \(down.matrix.inputs)")
        let quantized = down.matrix.type.isBlockQuantized
        let activations = first.matrix.type.isBlockQuantized ? prepared(for: first.matrix.type, on: device) : self
        let activated =
            quantized ? opaque(for: down.matrix.type, inputs: hidden, on: device) : device.make([rows, hidden])
        let place = unsafe activated.storage.mutablePointer + activated.byteOffset
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ACTIVATED
        unsafe (phase.inputs, phase.prepared) = (shape[1], activations.pointer)
        unsafe phase.matrices.0 = first.kernel(into: quantized ? nil : place.assumingMemoryBound(to: Float.self))
        unsafe phase.matrices.1 = up.kernel(into: nil)
        unsafe (phase.matrix_count, phase.activation) = (gate == nil ? 1 : 2, f.kernel)
        unsafe (phase.next_type, phase.next_prepared) = (down.matrix.type.kernelType, quantized ? place : nil)
        let template = unsafe phase
        device.parallel(up.matrix.panels, cost: Int(MARTLET_PANEL) * shape[1] * max(rows, 1)) { range in
            var (phase, pass) = unsafe (template, martlet_step_pass(rows: rows, segments: 1))
            let scratch = device.scratch(bytes: unsafe martlet_step_scratch(&phase, &pass))
            unsafe martlet_step_run(
                &phase, &pass, range.lowerBound, range.upperBound,
                scratch.mutablePointer.assumingMemoryBound(to: UInt8.self))
        }
        return Tensor.multiplied(
            rows, byEach: [down.matrix], biases: [down.bias], activations: [activated], on: device)[0]
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

    /// Memory for this tensor's rows when they are prepared: bytes of no type; i32 is the one whose elements nothing converts.
    private func opaque(for type: ElementType, inputs: Int, on device: Device) -> Tensor {
        device.make([shape[0], (martlet_activation_bytes(type.kernelType, inputs) + 3) / 4], .i32)
    }

    private func prepared(for type: ElementType, on device: Device) -> Tensor {
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
