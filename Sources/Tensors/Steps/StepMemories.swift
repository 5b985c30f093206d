import CMartletKernels

/// What the rows of a step remember in each layer, as the kernels read it.
@safe struct StepMemories {
    private let rows: Int
    private var windows: [Int?] = []
    private var layers: [Storage] = []
    /// Pointers to blocks, `[layers][rows][blocks]`.
    private var tables: [Storage] = []
    private var blocks = 16
    private(set) var partialFloats = 0

    init(rows: Int) { self.rows = rows }

    /// - Parameter partialFloats: of one row and segment.
    mutating func addLayer(window: Int?, partialFloats: Int) -> UnsafePointer<martlet_step_memory> {
        let storage = unsafe Storage(bytes: rows * MemoryLayout<martlet_step_memory>.stride)
        windows.append(window)
        layers.append(storage)
        tables.append(Storage(bytes: rows * blocks * MemoryLayout<Int>.stride))
        self.partialFloats = max(self.partialFloats, partialFloats)
        return unsafe storage.pointer.assumingMemoryBound(to: martlet_step_memory.self)
    }

    var count: Int { layers.count }

    /// Row `row` is the last position of `memory`, whose block is there to be written.
    ///
    /// - Returns: the row's position.
    mutating func set(layer: Int, row: Int, _ memory: KeyValueBlocks) -> Int {
        let position = memory.length - 1
        grow(to: position / KeyValueBlocks.positions + 1)
        let table = unsafe tables[layer].mutablePointer.assumingMemoryBound(to: UnsafeRawPointer?.self) + row * blocks
        for index in 0...position / KeyValueBlocks.positions { unsafe table[index] = memory.blocks[index].pointer }
        let places = unsafe layers[layer].mutablePointer.assumingMemoryBound(to: martlet_step_memory.self)
        let lower = windows[layer].map { max(0, position - $0 + 1) } ?? 0
        unsafe places[row] = martlet_step_memory(
            blocks: UnsafePointer(table), position: Int32(clamping: position), lower: Int32(clamping: lower),
            origins: nil, lane_blocks: 0, readers: 0)
        return position
    }

    /// Row `row` is at `position` of what `origins` says of `lanes`.
    func set(
        layer: Int, row: Int, _ lanes: LaneBlocks, origins: UnsafePointer<UInt16>, position: Int
    ) {
        let places = unsafe layers[layer].mutablePointer.assumingMemoryBound(to: martlet_step_memory.self)
        let lower = windows[layer].map { max(0, position - $0 + 1) } ?? 0
        unsafe places[row] = martlet_step_memory(
            blocks: lanes.table, position: Int32(clamping: position), lower: Int32(clamping: lower), origins: origins,
            lane_blocks: lanes.blocksPerLane, readers: 0)
    }

    /// Moves the tables to larger ones, with what has been set.
    private mutating func grow(to count: Int) {
        guard count > blocks else { return }
        let (before, after) = (blocks, max(count, blocks * 2))
        for layer in tables.indices {
            let larger = Storage(bytes: rows * after * MemoryLayout<Int>.stride)
            let places = unsafe layers[layer].mutablePointer.assumingMemoryBound(to: martlet_step_memory.self)
            for row in 0..<rows {
                let target = unsafe larger.mutablePointer + row * after * MemoryLayout<Int>.stride
                let source = unsafe tables[layer].pointer + row * before * MemoryLayout<Int>.stride
                unsafe target.copyMemory(from: source, byteCount: before * MemoryLayout<Int>.stride)
                unsafe places[row].blocks = UnsafePointer(target.assumingMemoryBound(to: UnsafeRawPointer?.self))
            }
            tables[layer] = larger
        }
        blocks = after
    }
}
