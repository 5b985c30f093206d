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
    let blockType: ElementType
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
    var biases: [StepBias] = []
    /// Logits of the first row, of the first two …: `[rows, vocabulary]`, valid until the next run.
    var logits: [Tensor] = []
    var runner: StepRunner?
    /// Rows that are projected to the stream, and their width; rows that are then added.
    var narrow: (rows: UnsafeMutablePointer<Float>, width: Int)?
    var placed: UnsafeMutablePointer<Float>?

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
}

extension StepPlan {
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
