import CMartletKernels

/// One pass of a few rows through a decoder as a list of phases with all of its memory: running it again allocates
/// nothing.
///
/// Each row is the next token of a sequence of its own. Layers describe themselves once, from the first to the last;
/// then for each pass the rows' vectors, rotations and memories are set, and `run` gives the logits, the same bits as
/// operations on tensors give. Knows no model: what a layer is made of is told by calls.
@safe package final class StepPlan {
    /// A buffer of activations, which a phase reads or writes besides weights.
    package enum Buffer: Hashable, Sendable {
        case query, key, value, attended, activated, prepared, joined, normed, rounded
        case narrow, placed, narrowed, scores, sharedGate, shared, expertInputs, expertsPrepared, expertsActivated,
            expertResults, mixed
        /// The rows of latent attention before and after their norms, and what is made of them.
        case narrowQuery, narrowKeyValue, normedKeyValue, wideKeyValue
        /// Queries, keys and values as attention reads them, where they are made before it.
        case madeQuery, madeKey, madeValue
        case routed, perLayer, perLayerGate
        /// Several residual streams, what a layer predicts of them, one of them, and its projection.
        case streams, predictions, streamPart(Int), streamProjection(Int)
        /// A normed row through matrices of low rank.
        case augmentedNarrow, augmented
        case gate
    }

    /// The number of rows from which on norms and rounding are phases that threads share; below, every thread does them
    /// for itself.
    private static let manyRows = 9

    let device: Device
    let capacity: Int
    package let width: Int
    private let blockType: ElementType
    let residual: Storage
    private var buffers: [Buffer: Storage] = [:]
    /// Memory that phases point into.
    var held: [Storage] = []
    var phases: [martlet_step_phase] = unsafe []
    private(set) var rotations: [(cosines: Storage, sines: Storage, pairs: Int)] = []
    /// The computations that phases call.
    var computations: [StepComputation] = []
    /// A device of one thread, for what is computed within a phase.
    package private(set) lazy var serial = Device(threads: 1)
    /// The token and the position of each row of the next run.
    package internal(set) var tokens, positions: [Int32]
    var tables: StepTables
    private(set) var biases: [StepBias] = []
    /// Logits of the first row, of the first two …: `[rows, vocabulary]`, valid until the next run.
    private var logits: [Tensor] = []
    var runner: StepRunner?
    /// Rows that are projected to the stream, and their width; rows that are then added.
    private var narrow: (rows: UnsafeMutablePointer<Float>, width: Int)?
    private var placed: UnsafeMutablePointer<Float>?

    /// - Parameters: `capacity` rows at most, of `width` elements; keys and values are kept as `blockType`.
    package init(capacity: Int, width: Int, blockType: ElementType, on device: Device) {
        (self.capacity, self.width, self.blockType, self.device) = (capacity, width, blockType, device)
        residual = Storage(bytes: capacity * width * 4)
        tokens = Array(repeating: 0, count: capacity)
        positions = tokens
        tables = StepTables(capacity: capacity)
    }

    /// Adds the block tables of sequences for the layers of one reach, to be set for each pass; returns the number
    /// that names them.
    package func addTable(window: Int?) -> Int { tables.add(window: window) }

    /// Adds tables of the same blocks as those of `table`, of which a row sees its own chunk of `chunk` positions.
    package func addTable(chunk: Int, of table: Int) -> Int { tables.add(chunk: chunk, of: table) }

    /// The logits of the first `rows` rows of the last run, `[rows, vocabulary]`, valid until the next one.
    package func logits(rows: Int) -> Tensor { logits[rows - 1] }

    /// The residual stream of row `row`, which holds its token's vector before a run, `[width]`.
    package func vector(ofRow row: Int) -> UnsafeMutablePointer<Float> {
        precondition(row < capacity, "StepPlan: row \(row) of \(capacity)")
        return unsafe residual.mutablePointer.assumingMemoryBound(to: Float.self) + row * width
    }

    /// A rotation by angles of `pairs` pairs, to be set for each pass; its number.
    package func addRotation(pairs: Int) -> Int {
        rotations.append((Storage(bytes: capacity * pairs * 4), Storage(bytes: capacity * pairs * 4), pairs))
        return rotations.count - 1
    }

    /// The cosines and sines of a row of a rotation, `[pairs]` each.
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
    package func attend(
        _ parts: StepAttention, query: StepMatrix, key: StepMatrix, value: StepMatrix, norm: StepNorm?
    ) {
        let made = multiply([(query, .query), (key, .key), (value, .value)], norm: norm)
        attend(parts, query: made[0], own: (made[1], made[2]))
    }

    /// Attention by queries, with keys and values that are kept, or those of an earlier layer alone.
    package func attend(_ parts: StepAttention, query: StepRows, own: (key: StepRows, value: StepRows)?) {
        let heads = parts.keyHeads * parts.group
        precondition(
            query.width == heads * parts.headWidth && (parts.slopes?.count ?? heads) == heads
                && own.map { $0.key.width == parts.keyHeads * parts.headWidth } ?? true
                && own.map { $0.value.width == parts.keyHeads * parts.valueWidth } ?? true,
            "StepPlan: \(heads) heads of \(parts.headWidth) from \(query.width) columns")
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ATTENTION
        unsafe phase.attention = attention(parts)
        unsafe phase.attention.queries = UnsafePointer(query.floats)
        unsafe phase.attention.reads_only = own == nil
        if let own {
            unsafe (phase.attention.keys, phase.attention.values) = (
                UnsafePointer(own.key.floats), UnsafePointer(own.value.floats)
            )
        }
        unsafe phases.append(phase)
    }

    private func attention(_ parts: StepAttention) -> martlet_step_attention {
        let heads = parts.keyHeads * parts.group
        var attention = unsafe martlet_step_attention()
        unsafe attention.outputs = buffer(.attended, heads * parts.valueWidth)
        unsafe (attention.key_heads, attention.group) = (parts.keyHeads, parts.group)
        unsafe (attention.head_width, attention.value_width) = (parts.headWidth, parts.valueWidth)
        unsafe attention.query_norm = kernel(parts.queryNorm)
        unsafe attention.key_norm = kernel(parts.keyNorm)
        held += [parts.headWeights.query, parts.headWeights.key].compactMap { $0?.storage }
        unsafe (attention.query_weights, attention.key_weights) = (
            parts.headWeights.query?.floats, parts.headWeights.key?.floats
        )
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
        if let sinks = parts.sinks {
            held.append(sinks.storage)
            unsafe attention.sinks = sinks.floats
        }
        if let bias = parts.bias {
            if !biases.contains(where: { $0 === bias }) { biases.append(bias) }
            unsafe attention.bias = bias.kernel
        }
        unsafe attention.block_type = blockType.kernelType
        unsafe (attention.table, attention.block_offset) = parts.cache
        tables.addLayer(partialFloats: heads * (parts.valueWidth + 2))
        return unsafe attention
    }

    /// Queries of norm(x), then attention to the encoder's output.
    package func attendAcross(_ parts: StepCrossAttention, norm: StepNorm?) {
        let heads = parts.keyHeads * parts.group
        precondition(
            parts.query.matrix.outputs == heads * parts.headWidth,
            "StepPlan: \(heads) heads of \(parts.headWidth) from \(parts.query.matrix.outputs) columns")
        var product = unsafe begin(MARTLET_STEP_PRODUCT, [parts.query], norm: norm)
        unsafe product.matrices.0 = kernel(parts.query, into: buffer(.query, parts.query.matrix.outputs))
        unsafe phases.append(product)
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ATTENTION
        unsafe (phase.attention.across, phase.attention.block_type) = (true, MARTLET_F32)
        unsafe phase.attention.queries = UnsafePointer(product.matrices.0.y)
        unsafe phase.attention.outputs = buffer(.attended, heads * parts.headWidth)
        unsafe (phase.attention.key_heads, phase.attention.group) = (parts.keyHeads, parts.group)
        unsafe (phase.attention.head_width, phase.attention.value_width) = (parts.headWidth, parts.headWidth)
        unsafe phase.attention.scale = parts.scale
        unsafe phase.attention.cap = parts.cap ?? 0
        unsafe (phase.attention.table, phase.attention.block_offset) = parts.cache
        unsafe phases.append(phase)
    }

    /// Adds the phase of x + output(attended), or x + join(output(attended)).
    package func addAttended(_ output: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ATTENTION }) else {
            preconditionFailure("StepPlan: nothing has been attended to")
        }
        let phase = unsafe begin(MARTLET_STEP_PRODUCT, [output], norm: nil, attended: last.attention)
        unsafe add(phase, output, join: join)
    }

    /// The residual stream as a projection of narrower rows, which are set for each pass in its place; and where they
    /// begin.
    package func projectInput(_ projection: StepMatrix) {
        let inputs = projection.matrix.inputs
        unsafe narrow = (buffer(.narrow, inputs), inputs)
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.matrix_count, phase.inputs) = (MARTLET_STEP_PRODUCT, 1, inputs)
        unsafe phase.x = UnsafePointer(buffer(.narrow, inputs))
        unsafe phase.matrices.0 = kernel(projection, into: vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// Adds the phase of x + the rows of positions, which are set for each pass.
    package func addPositions() {
        unsafe placed = buffer(.placed, width)
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.inputs) = (MARTLET_STEP_JOIN, width)
        unsafe (phase.x, phase.y) = (UnsafePointer(buffer(.placed, width)), vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// The place where a token's vector is written before a run: the stream itself, or the input of the projection to
    /// it.
    package func input(ofRow row: Int) -> UnsafeMutablePointer<Float> {
        guard let (rows, width) = unsafe narrow else { return unsafe vector(ofRow: row) }
        return unsafe rows + row * width
    }

    /// The place where a position's vector is written before a run, if it is added after a projection; else nil.
    package func positions(ofRow row: Int) -> UnsafeMutablePointer<Float>? {
        unsafe placed.map { unsafe $0 + row * width }
    }

    /// Adds the phase of norm(x) in place of x: where norms follow sums.
    package func normStream(_ norm: StepNorm) {
        var phase = unsafe martlet_step_phase()
        unsafe phase.kind = MARTLET_STEP_ROWS
        unsafe (phase.inputs, phase.norm) = (width, kernel(norm))
        unsafe (phase.x, phase.y) = (UnsafePointer(vector(ofRow: 0)), vector(ofRow: 0))
        unsafe phases.append(phase)
    }

    /// Adds the phase of f(gate(norm(x))) · up(norm(x)), or f(up(norm(x))) without a gate; prepared for `down`, which
    /// `addActivated` multiplies by.
    package func activate(gate: StepMatrix?, up: StepMatrix, _ f: Activation, norm: StepNorm?, for down: StepMatrix) {
        let hidden = up.matrix.outputs
        precondition((gate ?? up).matrix.outputs == hidden, "StepPlan: a gate of another width than \(hidden)")
        var phase = unsafe begin(MARTLET_STEP_ACTIVATED, [gate ?? up, up], norm: norm)
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

    /// Adds the phase of x + down(activated), or x + join(down(activated)).
    package func addActivated(_ down: StepMatrix, join: StepNorm?) {
        guard let last = unsafe phases.last(where: { unsafe $0.kind == MARTLET_STEP_ACTIVATED }) else {
            preconditionFailure("StepPlan: nothing has been activated")
        }
        var phase = unsafe martlet_step_phase()
        unsafe phase.x = UnsafePointer(last.matrices.0.y)
        unsafe phase.prepared = UnsafeRawPointer(last.next_prepared)
        unsafe add(phase, down, join: join)
    }

    /// Adds the phases of head(norm(x)), or head(narrowing(norm(x))): the last phases.
    package func addLogits(_ head: StepMatrix, narrowing: StepMatrix? = nil, norm: StepNorm?) {
        var phase: martlet_step_phase
        if let narrowing {
            var narrower = unsafe begin(MARTLET_STEP_PRODUCT, [narrowing], norm: norm)
            if unsafe narrower.prepared != nil { unsafe phases[phases.count - 1].wanted = true }
            let rows = unsafe buffer(.narrowed, narrowing.matrix.outputs)
            unsafe (narrower.wanted, narrower.matrices.0) = (true, kernel(narrowing, into: rows))
            unsafe phases.append(narrower)
            unsafe phase = begin(MARTLET_STEP_PRODUCT, [head], norm: nil, from: UnsafePointer(rows))
        } else {
            unsafe phase = begin(MARTLET_STEP_PRODUCT, [head], norm: norm)
        }
        let vocabulary = head.matrix.outputs
        let storage = Storage(bytes: capacity * vocabulary * 4)
        held.append(storage)
        logits = (1...capacity).map {
            Tensor(storage: storage, byteOffset: 0, shape: [$0, vocabulary], type: .f32, device: device)
        }
        // The rows that are prepared before it are those that it computes.
        if unsafe phase.prepared != nil { unsafe phases[phases.count - 1].wanted = true }
        unsafe phase.wanted = true
        unsafe phase.matrices.0 = kernel(head, into: storage.mutablePointer.assumingMemoryBound(to: Float.self))
        unsafe phases.append(phase)
        runner = StepRunner(self)
    }

    // MARK: Parts of phases

    /// A phase whose `matrices` multiply norm(x), x being what was attended to or the residual stream.
    func begin(
        _ kind: martlet_step_kind, _ matrices: [StepMatrix], norm: StepNorm?, attended: martlet_step_attention? = nil,
        from rows: UnsafePointer<Float>? = nil
    ) -> martlet_step_phase {
        var phase = unsafe martlet_step_phase()
        unsafe (phase.kind, phase.matrix_count) = (kind, matrices.count)
        unsafe phase.x = rows ?? UnsafePointer(attended.map { unsafe $0.outputs } ?? vector(ofRow: 0))
        unsafe phase.inputs = matrices[0].matrix.inputs
        unsafe phase.norm = kernel(norm)
        if let attended = unsafe attended {
            // Sources are attended to in one piece.
            unsafe (phase.attended, phase.attention) = (!attended.across, attended)
        }
        let types = Set(matrices.map { $0.matrix.type.isBlockQuantized ? $0.matrix.type : .f32 })
        if let type = types.first, types.count == 1, capacity >= StepPlan.manyRows, norm != nil || type != .f32 {
            unsafe prepare(&phase, for: type)
        }
        return unsafe phase
    }

    /// Makes norming and rounding the rows of `phase` a phase before it.
    private func prepare(_ phase: inout martlet_step_phase, for type: ElementType) {
        let inputs = unsafe phase.inputs
        var rows = unsafe phase
        unsafe (rows.kind, rows.matrix_count) = (MARTLET_STEP_ROWS, 0)
        unsafe rows.y = buffer(.normed, inputs)
        if type.isBlockQuantized {
            let bytes = martlet_activation_bytes(type.kernelType, inputs)
            unsafe rows.next_type = type.kernelType
            unsafe rows.next_prepared = UnsafeMutableRawPointer(buffer(.rounded, (bytes + 3) / 4))
        }
        unsafe phase.prepared = UnsafeRawPointer(rows.next_prepared) ?? UnsafeRawPointer(rows.y)
        unsafe (phase.norm, phase.attended) = (martlet_step_norm(), false)
        if let last = unsafe phases.last, unsafe last.kind == MARTLET_STEP_ROWS && UnsafePointer(last.y) == rows.x,
            unsafe rows.norm.kind == MARTLET_NORM_NONE
        {
            // The stream has just been normed, row by row: its rows are rounded there.
            unsafe rows.x = last.x
            unsafe (rows.y, rows.norm) = (last.y, last.norm)
            unsafe phases.removeLast()
        }
        unsafe phases.append(rows)
    }

    /// The phase that multiplies by `matrix` and adds to the residual stream.
    func add(_ begun: martlet_step_phase, _ matrix: StepMatrix, join: StepNorm?) {
        precondition(matrix.matrix.outputs == width, "StepPlan: \(matrix.matrix.outputs) columns added to \(width)")
        var phase = unsafe begun
        unsafe phase.kind = MARTLET_STEP_PRODUCT
        unsafe (phase.inputs, phase.matrix_count) = (matrix.matrix.inputs, 1)
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

    func kernel(_ part: StepMatrix, into y: UnsafeMutablePointer<Float>?) -> martlet_step_matrix {
        held.append(part.matrix.storage)
        if let bias = part.bias { held.append(bias.storage) }
        return unsafe part.kernel(into: y)
    }

    func kernel(_ norm: StepNorm?) -> martlet_step_norm {
        guard let norm else { return unsafe martlet_step_norm() }
        held += norm.held
        return unsafe norm.kernel
    }

    /// Memory that phases share, of at least `floats` per row.
    func buffer(_ name: Buffer, _ floats: Int) -> UnsafeMutablePointer<Float> {
        unsafe memory(name, floats).mutablePointer.assumingMemoryBound(to: Float.self)
    }

    func memory(_ name: Buffer, _ floats: Int) -> Storage {
        let bytes = capacity * floats * 4
        if let known = buffers[name], known.bytes >= bytes { return known }
        let storage = Storage(bytes: bytes)
        buffers[name] = storage
        held.append(storage)
        return storage
    }
}
