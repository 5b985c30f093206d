import CMartletKernels

/// One pass of a few rows through a decoder as a list of phases with all of its memory: running it again allocates nothing.
///
/// Each row is the next token of a sequence of its own. Layers describe themselves once, from the first to the last; then for each pass the
/// rows' vectors, rotations and memories are set, and `run` gives the logits, the same bits as operations on tensors give.
/// Knows no model: what a layer is made of is told by calls.
@safe package final class StepPlan {
    /// What a phase reads and writes besides weights.
    private enum Buffer: Hashable { case query, key, value, attended, activated, prepared, joined }

    let device: Device
    let capacity: Int
    private let width: Int
    private let blockType: ElementType
    private let residual: Storage
    private var buffers: [Buffer: Storage] = [:]
    /// What phases point into.
    private var held: [Storage] = []
    var phases: [martlet_step_phase] = unsafe []
    private var rotations: [(cosines: Storage, sines: Storage, pairs: Int)] = []
    var memories: StepMemories
    /// The logits of each row, `[vocabulary]`, valid until the next run.
    package private(set) var logits: [Tensor] = []
    var runner: StepRunner?
    /// The last position of the longest memory.
    var longest = 0

    /// - Parameters: `capacity` rows at most, of `width` elements; keys and values are kept as `blockType`.
    package init(capacity: Int, width: Int, blockType: ElementType, on device: Device) {
        (self.capacity, self.width, self.blockType, self.device) = (capacity, width, blockType, device)
        residual = Storage(bytes: capacity * width * 4)
        memories = StepMemories(rows: capacity)
    }

    /// Where row `row` of the residual stream begins: its token's vector, before a run.
    package func vector(ofRow row: Int) -> UnsafeMutablePointer<Float> {
        precondition(row < capacity, "StepPlan: row \(row) of \(capacity)")
        return unsafe residual.mutablePointer.assumingMemoryBound(to: Float.self) + row * width
    }

    /// A rotation by angles of `pairs` pairs, to be set for each pass; its number.
    package func addRotation(pairs: Int) -> Int {
        rotations.append((Storage(bytes: capacity * pairs * 4), Storage(bytes: capacity * pairs * 4), pairs))
        return rotations.count - 1
    }

    /// Where the cosines and sines of a row begin.
    package func rotation(_ index: Int, row: Int) -> (
        cosines: UnsafeMutablePointer<Float>, sines: UnsafeMutablePointer<Float>
    ) {
        let (cosines, sines, pairs) = rotations[index]
        return unsafe (
            cosines.mutablePointer.assumingMemoryBound(to: Float.self) + row * pairs,
            sines.mutablePointer.assumingMemoryBound(to: Float.self) + row * pairs
        )
    }

    // MARK: Describing layers

    /// Queries, keys and values of norm(x), then attention: one layer's memory.
    package func attend(_ parts: StepAttention, norm: StepNorm?) {
        var product = unsafe martlet_step_phase()
        unsafe product.kind = MARTLET_STEP_PRODUCT
        unsafe begin(&product, norm: norm)
        unsafe product.matrix_count = 3
        unsafe product.matrices.0 = kernel(parts.query, into: buffer(.query, parts.query.matrix.outputs))
        unsafe product.matrices.1 = kernel(parts.key, into: buffer(.key, parts.key.matrix.outputs))
        unsafe product.matrices.2 = kernel(parts.value, into: buffer(.value, parts.value.matrix.outputs))
        unsafe phases.append(product)
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ATTENTION
        unsafe phase.attention = attention(parts, product)
        unsafe phases.append(phase)
    }

    private func attention(_ parts: StepAttention, _ product: martlet_step_phase) -> martlet_step_attention {
        let heads = parts.keyHeads * parts.group
        precondition(
            parts.query.matrix.outputs == heads * parts.headWidth && (parts.slopes?.count ?? heads) == heads,
            "StepPlan: \(heads) heads of \(parts.headWidth) from \(parts.query.matrix.outputs) columns")
        var attention = unsafe martlet_step_attention()
        unsafe attention.queries = UnsafePointer(product.matrices.0.y)
        unsafe attention.keys = UnsafePointer(product.matrices.1.y)
        unsafe attention.values = UnsafePointer(product.matrices.2.y)
        unsafe attention.outputs = buffer(.attended, heads * parts.headWidth)
        unsafe (attention.key_heads, attention.group, attention.head_width) = (
            parts.keyHeads, parts.group, parts.headWidth
        )
        unsafe attention.query_norm = kernel(parts.queryNorm)
        unsafe attention.key_norm = kernel(parts.keyNorm)
        if let (index, neighbours) = parts.rotation {
            unsafe attention.rotary_width = rotations[index].pairs * 2
            unsafe attention.neighbours = neighbours
            unsafe (attention.cosines, attention.sines) = (
                UnsafePointer(rotation(index, row: 0).cosines), UnsafePointer(rotation(index, row: 0).sines)
            )
        }
        unsafe (attention.scale, attention.cap) = (parts.scale, parts.cap ?? 0)
        if let slopes = parts.slopes {
            let copy = Tensor(slopes, shape: [slopes.count])
            held.append(copy.storage)
            unsafe attention.slopes = copy.floats
        }
        unsafe attention.block_type = blockType.kernelType
        unsafe attention.memories = memories.addLayer(
            window: parts.window, partialFloats: parts.keyHeads * parts.group * (parts.headWidth + 2))
        return unsafe attention
    }

    /// x + output(attended), or x + join(output(attended)).
    package func addAttended(_ output: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ATTENTION }) else {
            preconditionFailure("StepPlan: nothing has been attended to")
        }
        var phase = unsafe martlet_step_phase()
        unsafe phase.x = UnsafePointer(last.attention.outputs)
        unsafe phase.attended = true
        unsafe phase.attention = last.attention
        unsafe add(phase, output, join: join)
    }

    /// f(gate(norm(x))) · up(norm(x)), or f(up(norm(x))) without a gate; prepared for `down`, which `addActivated` multiplies by.
    package func activate(gate: StepMatrix?, up: StepMatrix, _ f: Activation, norm: StepNorm?, for down: StepMatrix) {
        let hidden = up.matrix.outputs
        precondition((gate ?? up).matrix.outputs == hidden, "StepPlan: a gate of another width than \(hidden)")
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ACTIVATED
        unsafe begin(&phase, norm: norm)
        unsafe phase.activation = f.kernel
        unsafe phase.matrices.0 = kernel(gate ?? up, into: buffer(.activated, hidden))
        unsafe phase.matrices.1 = kernel(up, into: nil)
        unsafe phase.matrix_count = gate == nil ? 1 : 2
        if down.matrix.type.isBlockQuantized {
            let bytes = martlet_activation_bytes(down.matrix.type.kernelType, hidden)
            unsafe phase.next_type = down.matrix.type.kernelType
            unsafe phase.next_prepared = UnsafeMutableRawPointer(buffer(.prepared, (bytes + 3) / 4))
        }
        unsafe phases.append(phase)
    }

    /// x + down(activated), or x + join(down(activated)).
    package func addActivated(_ down: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ACTIVATED }) else {
            preconditionFailure("StepPlan: nothing has been activated")
        }
        var phase = unsafe martlet_step_phase()
        unsafe phase.x = UnsafePointer(last.matrices.0.y)
        unsafe phase.prepared = UnsafeRawPointer(last.next_prepared)
        unsafe add(phase, down, join: join)
    }

    /// head(norm(x)): the last phase.
    package func addLogits(_ head: StepMatrix, norm: StepNorm?) {
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_PRODUCT
        unsafe begin(&phase, norm: norm)
        let vocabulary = head.matrix.outputs
        let storage = Storage(bytes: capacity * vocabulary * 4)
        held.append(storage)
        logits = (0..<capacity).map {
            Tensor(storage: storage, byteOffset: $0 * vocabulary * 4, shape: [vocabulary], type: .f32, device: device)
        }
        unsafe phase.matrices.0 = kernel(head, into: storage.mutablePointer.assumingMemoryBound(to: Float.self))
        unsafe phase.matrix_count = 1
        unsafe phases.append(phase)
        runner = StepRunner(self)
    }

    // MARK: Parts of phases

    private func begin(_ phase: inout martlet_step_phase, norm: StepNorm?) {
        unsafe phase.x = UnsafePointer(vector(ofRow: 0))
        unsafe phase.inputs = width
        unsafe phase.norm = kernel(norm)
    }

    /// The phase that multiplies by `matrix` and adds to the residual stream.
    private func add(_ begun: martlet_step_phase, _ matrix: StepMatrix, join: StepNorm?) {
        precondition(matrix.matrix.outputs == width, "StepPlan: \(matrix.matrix.outputs) columns added to \(width)")
        var phase = unsafe begun
        unsafe phase.kind = MARTLET_STEP_PRODUCT
        unsafe phase.inputs = matrix.matrix.inputs
        unsafe phase.matrix_count = 1
        unsafe phase.accumulate = join == nil
        let target = unsafe join == nil ? vector(ofRow: 0) : buffer(.joined, width)
        unsafe phase.matrices.0 = kernel(matrix, into: target)
        unsafe phases.append(phase)
        guard let join else { return }
        var joining = unsafe martlet_step_phase()
        unsafe joining.kind = MARTLET_STEP_JOIN
        unsafe joining.inputs = width
        unsafe joining.x = UnsafePointer(target)
        unsafe joining.y = vector(ofRow: 0)
        unsafe joining.norm = kernel(join)
        unsafe phases.append(joining)
    }

    private func kernel(_ part: StepMatrix, into y: UnsafeMutablePointer<Float>?) -> martlet_step_matrix {
        held.append(part.matrix.storage)
        if let bias = part.bias { held.append(bias.storage) }
        return unsafe part.kernel(into: y)
    }

    private func kernel(_ norm: StepNorm?) -> martlet_step_norm {
        guard let norm else { return unsafe martlet_step_norm() }
        held += norm.held
        return unsafe norm.kernel
    }

    /// Memory that phases share, of at least `floats` per row.
    private func buffer(_ name: Buffer, _ floats: Int) -> UnsafeMutablePointer<Float> {
        let bytes = capacity * floats * 4
        if let known = buffers[name], known.bytes >= bytes {
            return unsafe known.mutablePointer.assumingMemoryBound(to: Float.self)
        }
        let storage = Storage(bytes: bytes)
        buffers[name] = storage
        held.append(storage)
        return unsafe storage.mutablePointer.assumingMemoryBound(to: Float.self)
    }
}
