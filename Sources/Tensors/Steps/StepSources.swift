import CMartletKernels

/// The sources that the rows of a step read in one layer, as the kernels read them; rows that read the same one stand together.
@safe struct StepSources {
    private let rows: Int
    private let sources: [KeyValueBlocks]
    private let places: Storage
    /// For each source, pointers to its blocks.
    private let tables: [Storage]

    init(rows: Int, _ sources: [KeyValueBlocks]) {
        (self.rows, self.sources) = (rows, sources)
        places = unsafe Storage(bytes: rows * MemoryLayout<martlet_step_memory>.stride)
        tables = sources.map { source in
            let table = Storage(bytes: source.blocks.count * MemoryLayout<Int>.stride)
            let pointers = unsafe table.mutablePointer.assumingMemoryBound(to: UnsafeRawPointer?.self)
            for (index, block) in source.blocks.enumerated() { unsafe pointers[index] = block.pointer }
            return table
        }
    }

    var memories: UnsafePointer<martlet_step_memory> {
        unsafe places.pointer.assumingMemoryBound(to: martlet_step_memory.self)
    }

    /// Row i reads source `indices[i]`.
    func set(_ indices: [Int]) {
        precondition(indices.count <= rows, "StepPlan: \(indices.count) of \(rows) rows")
        let places = unsafe places.mutablePointer.assumingMemoryBound(to: martlet_step_memory.self)
        var row = 0
        while row < indices.count {
            let source = indices[row]
            let end = indices[row...].firstIndex { $0 != source } ?? indices.count
            let table = unsafe tables[source].pointer.assumingMemoryBound(to: UnsafeRawPointer?.self)
            for reader in row..<end {
                unsafe places[reader] = martlet_step_memory(
                    blocks: table, position: Int32(clamping: sources[source].length - 1), lower: 0, origins: nil,
                    lane_blocks: 0, readers: reader == row ? end - row : 0)
            }
            row = end
        }
    }
}

extension StepPlan {
    /// Row i of the next runs reads source `indices[i]` in every layer that looks at sources.
    package func setSources(_ indices: [Int]) {
        for layer in sources { layer.set(indices) }
    }

    /// Row `row` of the next run is at `position` of the sequence whose positions stand in those of the `lanes` that `origins` says;
    /// all layers and rows have as many positions.
    package func setMemory(
        layer: Int, row: Int, _ lanes: LaneBlocks, origins: UnsafePointer<UInt16>, position: Int
    ) {
        precondition(layer < memories.count && row < capacity, "StepPlan: layer \(layer), row \(row)")
        unsafe memories.set(layer: layer, row: row, lanes, origins: origins, position: position)
        longest = position
    }
}
