import CMartletKernels

/// The keys and values of one sequence in one layer, in blocks of 64 absolute positions.
///
/// A contiguous cache owns its blocks, a paged one lends them from a pool, and a pass without cache fills them on the spot: attention
/// reads all three alike. Blocks are written by the sequence they belong to, before attention reads them.
package struct KeyValueBlocks: Sendable {
    package static let positions = Int(MARTLET_BLOCK)

    package let keyHeads: Int
    package let headWidth: Int
    package let valueWidth: Int
    /// Of the elements: f32, f16, bf16, or q8_0, which asks for heads in multiples of 32.
    package let type: ElementType
    package private(set) var blocks: [Storage] = []
    /// Positions written so far.
    package private(set) var length = 0
    /// The first blocks, this many, may also belong to copies of this value: they are copied before they are written.
    private var shared = 0

    package init(keyHeads: Int, headWidth: Int, valueWidth: Int, type: ElementType = .f32) {
        precondition(
            KeyValueBlocks.types.contains(type) && headWidth % type.blockElements == 0
                && valueWidth % type.blockElements == 0,
            "KeyValueBlocks: heads of \(headWidth) and \(valueWidth) as \(type)")
        self.type = type
        (self.keyHeads, self.headWidth, self.valueWidth) = (keyHeads, headWidth, valueWidth)
    }

    /// Their shape alone, for a backward pass, which reads rows of keys and values instead.
    init(describing length: Int, keys: Tensor, values: Tensor) {
        self.init(keyHeads: keys.shape[1], headWidth: keys.shape[2], valueWidth: values.shape[2])
        self.length = length
    }

    /// What keys and values can be kept as.
    package static let types: [ElementType] = [.f32, .f16, .bf16, .q8_0]

    /// Bytes of one block.
    package var blockBytes: Int { martlet_block_bytes(type.kernelType, keyHeads, headWidth, valueWidth) }

    /// Appends rows `rows` of keys `[…, keyHeads, headWidth]` and values `[…, keyHeads, valueWidth]`, taking blocks from `device` as needed.
    package mutating func append(keys: Tensor, values: Tensor, rows: Range<Int>, on device: Device) {
        precondition(
            keys.shape.rank == 3 && keys.shape[1] == keyHeads && keys.shape[2] == headWidth
                && values.shape[2] == valueWidth,
            "KeyValueBlocks: keys \(keys.shape) and values \(values.shape) for \(keyHeads) heads of \(headWidth)")
        takeOwnership(from: length / KeyValueBlocks.positions, on: device)
        reserve(length + rows.count, on: device)
        let (start, blocks) = (length, blocks)
        let (keyRow, valueRow) = (keyHeads * headWidth, keyHeads * valueWidth)
        let size = KeyValueBlocks.positions
        let first = start / size
        let touched = (start + rows.count + size - 1) / size - first
        device.parallel(touched, cost: size * (keyRow + valueRow)) { range in
            for block in range.lowerBound + first..<range.upperBound + first {
                let lower = max(start, block * size)
                let upper = min(start + rows.count, (block + 1) * size)
                let row = rows.lowerBound + lower - start
                unsafe martlet_store_block(
                    type.kernelType, keys.floats + row * keyRow, keyRow, values.floats + row * valueRow, valueRow,
                    upper - lower, keyHeads, 0, keyHeads, headWidth, valueWidth, blocks[block].mutablePointer,
                    lower - block * size)
            }
        }
        length += rows.count
    }

    /// The keys and values of several sequences from their first positions on, filled in one loop.
    ///
    /// - Parameters: `keys` `[…, keyHeads, headWidth]`, `values` `[…, keyHeads, valueWidth]`, `rows` of each sequence in them.
    package static func filled(
        keys: Tensor, values: Tensor, rows: [Range<Int>], on device: Device
    ) -> [KeyValueBlocks] {
        var empty = KeyValueBlocks(keyHeads: keys.shape[1], headWidth: keys.shape[2], valueWidth: values.shape[2])
        precondition(
            values.shape[1] == empty.keyHeads && rows.allSatisfy { $0.upperBound <= keys.shape[0] },
            "KeyValueBlocks: keys \(keys.shape) and values \(values.shape), rows \(rows)")
        let memories = rows.map { rows in
            empty.blocks = (0..<(rows.count + positions - 1) / positions).map { _ in
                device.scratch(bytes: empty.blockBytes)
            }
            empty.length = rows.count
            return empty
        }
        let pieces = memories.indices.flatMap { memory in memories[memory].blocks.indices.map { (memory, $0) } }
        device.parallel(pieces.count, cost: positions * (keys.shape.width + values.shape.width) * empty.keyHeads) {
            for (memory, block) in pieces[$0] {
                let first = block * positions
                memories[memory].fill(
                    block, keys, values, row: rows[memory].lowerBound + first,
                    count: min(positions, rows[memory].count - first))
            }
        }
        return memories
    }

    /// Writes a whole block from row `row` on; positions beyond `count` are read and masked, so they must be finite.
    private func fill(_ block: Int, _ keys: Tensor, _ values: Tensor, row: Int, count: Int) {
        let (keyRow, valueRow) = (keyHeads * headWidth, keyHeads * valueWidth)
        let place = unsafe blocks[block].mutablePointer
        if count < KeyValueBlocks.positions {
            unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: blockBytes)
        }
        unsafe martlet_store_block(
            type.kernelType, keys.floats + row * keyRow, keyRow, values.floats + row * valueRow, valueRow, count,
            keyHeads, 0, keyHeads, headWidth, valueWidth, place, 0)
    }

    /// Makes room for one more position, which whoever asked for it then writes.
    package mutating func extend(on device: Device) {
        takeOwnership(from: length / KeyValueBlocks.positions, on: device)
        reserve(length + 1, on: device)
        length += 1
    }

    /// Forgets all positions from `length` on: the blocks stay for what comes next.
    package mutating func truncate(to length: Int) {
        precondition(length >= 0 && length <= self.length, "KeyValueBlocks: truncate \(self.length) to \(length)")
        self.length = length
    }

    /// Makes copies of this value safe: from here on, none of them writes what another one reads.
    package mutating func share() { shared = blocks.count }

    private mutating func takeOwnership(from first: Int, on device: Device) {
        guard first < shared else { return }
        for index in first..<shared {
            let copy = device.scratch(bytes: blockBytes)
            unsafe copy.mutablePointer.copyMemory(from: blocks[index].pointer, byteCount: blockBytes)
            blocks[index] = copy
        }
        shared = first
    }

    private mutating func reserve(_ positions: Int, on device: Device) {
        while blocks.count * KeyValueBlocks.positions < positions {
            let block = device.scratch(bytes: blockBytes)
            // Positions that are not yet written are read and masked, so they must be finite.
            unsafe block.mutablePointer.initializeMemory(as: UInt8.self, repeating: 0, count: blockBytes)
            blocks.append(block)
        }
    }
}
