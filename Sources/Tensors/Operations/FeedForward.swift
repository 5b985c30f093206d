import CMartletKernels

extension Tensor {
    /// The feed-forward down(f(gate(x)) · up(x)), or down(f(up(x))) without a gate: what lies between the products
    /// never goes to memory as f32 where `down` is quantized, and where it is narrow enough, not at all.
    ///
    /// - Returns: `[rows, down's outputs]`, the same bits as step by step.
    package func fedForward(gate: StepMatrix?, up: StepMatrix, _ f: Activation, down: StepMatrix) -> Tensor {
        let (device, first) = (device(for: "fedForward"), gate ?? up)
        precondition(
            shape.rank == 2 && shape[1] == up.matrix.inputs && first.matrix.inputs == shape[1]
                && first.matrix.outputs == up.matrix.outputs && first.matrix.type == up.matrix.type
                && down.matrix.inputs == up.matrix.outputs,
            "fedForward: \(shape) to \(up.matrix.outputs) columns of \(up.matrix.type), then \(down.matrix.inputs)")
        let activations = first.matrix.type.isBlockQuantized ? prepared(for: first.matrix.type, on: device) : self
        let work = FeedForwardWork(rows: shape[0], activations, gate: gate, up: up, f, down: down, on: device)
        return work.tiles.map { work.run(tiles: $0) } ?? work.runOneByOne()
    }
}

/// The two products of a feed-forward and what lies between them.
@safe private struct FeedForwardWork {
    let rows: Int
    let activations: Tensor
    let up, down: StepMatrix
    let device: Device
    /// The phase that computes f(gate(x)) · up(x), but for its rows and where they go.
    private let template: martlet_step_phase
    /// The sizes in bytes of a row of activations, and of what the second product reads.
    private let rowBytes, hiddenBytes: Int

    init(
        rows: Int, _ activations: Tensor, gate: StepMatrix?, up: StepMatrix, _ f: Activation, down: StepMatrix,
        on device: Device
    ) {
        (self.rows, self.activations, self.up, self.down, self.device) = (rows, activations, up, down, device)
        let (first, inputs) = (gate ?? up, up.matrix.inputs)
        rowBytes = martlet_activation_bytes(first.matrix.type.kernelType, inputs)
        hiddenBytes = martlet_activation_bytes(down.matrix.type.kernelType, down.matrix.inputs)
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.inputs) = (MARTLET_STEP_ACTIVATED, inputs)
        unsafe phase.matrices.0 = first.kernel(into: nil)
        unsafe phase.matrices.1 = up.kernel(into: nil)
        unsafe (phase.matrix_count, phase.activation) = (gate == nil ? 1 : 2, f.kernel)
        unsafe phase.next_type = down.matrix.type.kernelType
        unsafe template = phase
    }

    /// Into how many tiles rows are cut so that what lies between the products stays in the second-level cache; nil
    /// where that would be too few rows at a time.
    var tiles: Int? {
        let fitting = min(252, 786_432 / max(1, hiddenBytes))
        guard rows > 252, fitting >= 84 else { return nil }
        let tiles = (rows + fitting - 1) / fitting
        return (tiles + device.threads - 1) / device.threads * device.threads
    }

    /// Computes both products for one tile after the other.
    func run(tiles: Int) -> Tensor {
        let outputs = down.matrix.outputs
        let result = device.make([rows, outputs])
        device.parallel(tiles, cost: rows / tiles * up.matrix.inputs * down.matrix.inputs) { range in
            let hidden = device.scratch(bytes: (rows / tiles + 1) * hiddenBytes)
            for tile in range {
                let (lower, upper) = (rows * tile / tiles, rows * (tile + 1) / tiles)
                unsafe activate(lower..<upper, panels: 0..<up.matrix.panels, into: hidden.mutablePointer)
                unsafe martlet_matmul(
                    down.matrix.type.kernelType, down.matrix.storage.pointer, outputs, down.matrix.inputs,
                    hidden.pointer, upper - lower, down.bias?.floats, result.mutableFloats + lower * outputs, outputs,
                    false, 0, down.matrix.panels)
            }
        }
        return result
    }

    /// The first product for all rows, then the second.
    func runOneByOne() -> Tensor {
        let hidden = device.make([rows, (hiddenBytes + 3) / 4], .i32)
        let tiles = ProductTiles(rows: rows, rowBytes: rowBytes, panels: up.matrix.panels)
        tiles.run(cost: Int(MARTLET_PANEL) * up.matrix.inputs, on: device) { rows, panels in
            let place = unsafe hidden.storage.mutablePointer + hidden.byteOffset + rows.lowerBound * hiddenBytes
            unsafe activate(rows, panels: panels, into: place)
        }
        return Tensor.multiplied(
            rows, byEach: [down.matrix], biases: [down.bias], activations: [hidden], on: device)[0]
    }

    /// The activations f(gate(x)) · up(x) of some rows, as the second product reads it, from `place` on.
    private func activate(_ rows: Range<Int>, panels: Range<Int>, into place: UnsafeMutableRawPointer) {
        var (phase, pass) = unsafe (template, martlet_step_pass(rows: rows.count, wanted: rows.count, tables: nil))
        unsafe phase.prepared = activations.pointer + rows.lowerBound * rowBytes
        if down.matrix.type.isBlockQuantized {
            unsafe phase.next_prepared = place
        } else {
            unsafe phase.matrices.0.y = place.assumingMemoryBound(to: Float.self)
        }
        let scratch = device.scratch(bytes: unsafe martlet_step_scratch(&phase, &pass))
        unsafe martlet_step_run(
            &phase, &pass, panels.lowerBound, panels.upperBound,
            scratch.mutablePointer.assumingMemoryBound(to: UInt8.self))
    }
}
