import CMartletKernels

/// The block tables of a decode step, what its rows see of their sequences' KV caches as the kernels read it: one table
/// for each reach of the layers.
@safe struct StepTables {
    private let capacity: Int
    /// The reach of each table: how many positions a row sees, or the chunks of which it sees its own and whose blocks
    /// those are.
    private var windows: [Int?] = []
    private var chunks: [(size: Int, table: Int)?] = []
    /// The rows of each table, `[capacity]` of `martlet_step_row`.
    private var rows: [Storage] = []
    /// The tables, `[tables]` of `martlet_step_table`.
    private var tables = Storage(bytes: 0)
    private var partials: Storage?
    /// Floats that one row and segment of the widest layer leave to be merged.
    private var partialFloats = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { windows.count }

    /// Adds a table and returns its number.
    mutating func add(window: Int?) -> Int {
        windows.append(window)
        chunks.append(nil)
        rows.append(unsafe Storage(bytes: capacity * MemoryLayout<martlet_step_row>.stride))
        tables = unsafe Storage(bytes: windows.count * MemoryLayout<martlet_step_table>.stride)
        return windows.count - 1
    }

    /// Adds a table of the blocks of `table`, of which a row sees its own chunk, and returns its number.
    mutating func add(chunk: Int, of table: Int) -> Int {
        if let known = chunks.firstIndex(where: { $0?.size == chunk && $0?.table == table }) { return known }
        let number = add(window: nil)
        chunks[number] = (chunk, table)
        return number
    }

    mutating func addLayer(partialFloats: Int) { self.partialFloats = max(self.partialFloats, partialFloats) }

    /// Row `row` is at `position` of the sequence whose blocks' addresses stand at `blocks`.
    func set(_ table: Int, row: Int, blocks: UnsafePointer<UnsafeRawPointer?>?, position: Int) {
        for (other, chunk) in chunks.enumerated() where chunk?.table == table {
            unsafe set(other, row: row, blocks: blocks, position: position)
        }
        let lower =
            if let chunk = chunks[table] { position - position % chunk.size } else {
                windows[table].map { max(0, position - $0 + 1) } ?? 0
            }
        let first = lower / Int(MARTLET_SEGMENT)
        unsafe places(table)[row] = martlet_step_row(
            blocks: blocks, position: Int32(clamping: position), lower: Int32(clamping: lower), first_segment: first,
            segments: position / Int(MARTLET_SEGMENT) - first + 1, segments_before: 0, readers: 0)
    }

    /// The tables as the kernels read them, for the first `count` rows, all of which have been set.
    mutating func finished(rows count: Int) -> UnsafePointer<martlet_step_table> {
        let made = unsafe tables.mutablePointer.assumingMemoryBound(to: martlet_step_table.self)
        var most = 0
        for table in windows.indices {
            let places = unsafe places(table)
            var (sum, split, reader) = (0, false, 0)
            for row in 0..<count {
                unsafe (places[row].segments_before, places[row].readers) = (sum, 0)
                sum += unsafe places[row].segments
                if unsafe places[row].segments > 1 { split = true }
                if unsafe places[row].blocks != places[reader].blocks { reader = row }
                unsafe places[reader].readers += 1
            }
            unsafe made[table] = martlet_step_table(rows: places, segments: sum, split: split, partials: nil)
            if split { most = max(most, sum) }
        }
        if most > 0 {
            let memory = unsafe reservedPartials(segments: most)
            for table in windows.indices { unsafe made[table].partials = memory }
        }
        return unsafe UnsafePointer(made)
    }

    private mutating func reservedPartials(segments: Int) -> UnsafeMutablePointer<Float> {
        let bytes = segments * partialFloats * 4
        let storage: Storage
        if let partials, partials.bytes >= bytes { storage = partials } else { storage = Storage(bytes: bytes * 2) }
        partials = storage
        return unsafe storage.mutablePointer.assumingMemoryBound(to: Float.self)
    }

    private func places(_ table: Int) -> UnsafeMutablePointer<martlet_step_row> {
        unsafe rows[table].mutablePointer.assumingMemoryBound(to: martlet_step_row.self)
    }
}
