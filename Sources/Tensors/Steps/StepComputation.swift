import CMartletKernels

/// The work of one thread between phases of a step, as operations on tensors: for what no phase does, and with the
/// very operations that a pass is made of.
@safe final class StepComputation {
    private let body: (_ rows: Int) -> Void

    init(_ body: @escaping (_ rows: Int) -> Void) { self.body = body }

    /// The phase that runs it, valid as long as this lives.
    var phase: martlet_step_phase {
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_CALL
        unsafe phase.context = Unmanaged.passUnretained(self).toOpaque()
        unsafe phase.call = { context, rows in
            guard let context = unsafe context else { return }
            unsafe Unmanaged<StepComputation>.fromOpaque(context).takeUnretainedValue().body(rows)
        }
        return unsafe phase
    }
}

extension StepPlan {
    /// The residual stream.
    package var stream: StepRows { StepRows(residual, width: width) }

    /// Memory for rows of `width`, which all phases that name it share.
    package func rows(_ name: Buffer, width: Int) -> StepRows { StepRows(memory(name, width), width: width) }

    /// Adds a phase that one thread computes, by tensors on ``serial``.
    package func compute(_ body: @escaping (_ rows: Int) -> Void) {
        let computation = StepComputation(body)
        computations.append(computation)
        unsafe phases.append(computation.phase)
    }

    /// Adds the phase of x · factor.
    package func scaleStream(_ factor: Float) {
        compute { [unowned self] rows in stream.set(stream.tensor(rows, on: serial) * factor) }
    }

    /// Adds the phase of (x + rows) · factor.
    package func addToStream(_ addend: StepRows, factor: Float) {
        compute { [unowned self] rows in
            stream.set((stream.tensor(rows, on: serial) + addend.tensor(rows, on: serial)) * factor)
        }
    }

    /// Adds the phase of products of norm(x) with one to three matrices, x being `rows`, or the stream where nil.
    ///
    /// - Returns: the products, in memory of these names.
    @discardableResult
    package func multiply(
        _ matrices: [(matrix: StepMatrix, into: Buffer)], norm: StepNorm? = nil, of rows: StepRows? = nil
    ) -> [StepRows] {
        let results = matrices.map { self.rows($0.into, width: $0.matrix.matrix.outputs) }
        var product = unsafe begin(
            MARTLET_STEP_PRODUCT, matrices.map(\.matrix), norm: norm, from: rows.map { unsafe UnsafePointer($0.floats) }
        )
        for (index, (matrix, result)) in zip(matrices, results).enumerated() {
            let made = unsafe kernel(matrix.matrix, into: result.floats)
            switch index {
            case 0: unsafe product.matrices.0 = made
            case 1: unsafe product.matrices.1 = made
            default: unsafe product.matrices.2 = made
            }
        }
        unsafe phases.append(product)
        return results
    }

    /// Adds the phases of x + matrix · rows, or x + join(matrix · rows).
    package func addProduct(_ matrix: StepMatrix, of rows: StepRows, join: StepNorm?) {
        let phase = unsafe begin(MARTLET_STEP_PRODUCT, [matrix], norm: nil, from: UnsafePointer(rows.floats))
        unsafe add(phase, matrix, join: join)
    }

    /// Adds the phase of x + norm(rows).
    package func join(_ rows: StepRows, norm: StepNorm?) {
        var joining = unsafe martlet_step_phase()
        unsafe (joining.kind, joining.inputs, joining.norm) = (MARTLET_STEP_JOIN, width, kernel(norm))
        unsafe (joining.x, joining.y) = (UnsafePointer(rows.floats), vector(ofRow: 0))
        unsafe phases.append(joining)
    }

    /// The angles of a rotation for the first `rows` rows, as operations on tensors take them.
    package func rotationTable(_ index: Int, rows: Int) -> RotationTable {
        let (cosines, sines, pairs) = rotations[index]
        func table(_ storage: Storage) -> Tensor {
            Tensor(storage: storage, byteOffset: 0, shape: [rows, pairs], type: .f32, device: serial)
        }
        return RotationTable(cosines: table(cosines), sines: table(sines))
    }

    /// Says which token at which position row `row` of the next run is.
    package func setRow(_ row: Int, token: Int32, position: Int) {
        (tokens[row], positions[row]) = (token, Int32(clamping: position))
    }
}
