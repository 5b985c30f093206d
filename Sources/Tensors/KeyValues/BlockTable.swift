import CMartletKernels

/// The KV cache of one sequence in all layers of one reach: a table of blocks of 64 absolute positions.
///
/// A value: a copy continues by itself. Copies share their blocks until one of them writes, and that one then takes a
/// block of its own. A cache takes its blocks from a pool; a pass without cache fills blocks of its device's memory on
/// the spot. Attention reads both alike.
package struct BlockTable: Sendable {
    package let layout: BlockLayout
    /// The pool that blocks are taken from; nil for memory of the device.
    private let pool: BlockPool?
    /// Lent blocks: true where somebody else decides which blocks are whose. Then they are lent before they are
    /// written, and never copied here.
    private var isLent = false
    /// The blocks in order of position; nil where a window has passed.
    private var blocks: [KeyValueBlock?] = []
    /// The blocks' addresses, as kernels read them.
    private var addresses: Storage?
    /// The number of positions that have room here, and are written.
    package private(set) var length = 0
    /// The index of the first block that is kept: those before it have been given back.
    private var firstKept = 0

    package init(_ layout: BlockLayout, pool: BlockPool? = nil) { (self.layout, self.pool) = (layout, pool) }

    /// A table of one layer by itself.
    package init(keyHeads: Int, headWidth: Int, valueWidth: Int, type: ElementType = .f32) {
        self.init(
            BlockLayout([.init(keyHeads: keyHeads, headWidth: headWidth, valueWidth: valueWidth)], type: type))
    }

    /// The shape of one layer alone, for a backward pass, which reads rows of keys and values instead.
    init(describing length: Int, keys: Tensor, values: Tensor) {
        self.init(keyHeads: keys.shape[1], headWidth: keys.shape[2], valueWidth: values.shape[2])
        self.length = length
    }

    /// A view of the keys and values of layer `layer` of the layout, as attention reads them.
    package subscript(layer: Int) -> KeyValueView { KeyValueView(table: self, layer: layer) }

    /// Makes room for `count` more positions, in blocks that nobody else owns; `write` then fills them, layer by layer.
    ///
    /// - Returns: false, with nothing changed, where the pool has no block left.
    package mutating func extend(by count: Int, on device: Device) -> Bool {
        let (size, end) = (BlockLayout.positions, length + count)
        if isLent {
            guard blocks.count >= BlockLayout.blocks(for: end) else { return false }
            length = end
            return true
        }
        let used = length % size
        if used > 0 && count > 0, !isKnownUniquelyReferenced(&blocks[length / size]) {
            guard let own = take(on: device) else { return false }
            if let shared = blocks[length / size] { own.copy(used, of: shared, layout, on: device) }
            place(own, at: length / size)
        }
        let before = blocks.count
        while blocks.count < BlockLayout.blocks(for: end) {
            guard let block = take(on: device) else {
                blocks.removeLast(blocks.count - before)
                return false
            }
            // Positions that are not yet written are read and masked, so they must be finite, and another sequence's
            // are none of our business.
            block.clear()
            place(block, at: blocks.count)
        }
        giveBackPassed()
        length = end
        return true
    }

    /// Lends `block` to this table as number `index`; from then on all of its blocks are lent. Those before it may be
    /// missing.
    package mutating func lend(_ block: KeyValueBlock, at index: Int) {
        isLent = true
        while blocks.count < index { blocks.append(nil) }
        place(block, at: index)
    }

    /// Says that the lent blocks hold `length` positions already.
    package mutating func resume(at length: Int) {
        precondition(
            isLent && self.length == 0 && blocks.count >= BlockLayout.blocks(for: length),
            "BlockTable: \(length) positions in \(blocks.count) blocks")
        self.length = length
    }

    /// The number of blocks that `extend(by: count)` would take of the pool.
    package mutating func blocksNeeded(for count: Int) -> Int {
        let (size, end) = (BlockLayout.positions, length + count)
        let isShared = length % size > 0 && count > 0 && !isKnownUniquelyReferenced(&blocks[length / size])
        return BlockLayout.blocks(for: end) - blocks.count + (isShared ? 1 : 0)
    }

    /// Writes rows `rows` of keys `[…, keyHeads, headWidth]` and values `[…, keyHeads, valueWidth]` of layer `layer`
    /// from position `start` on.
    ///
    /// - Precondition: `extend` has made room for them, and the table has not been copied since.
    package func write(
        layer: Int, keys: Tensor, values: Tensor, rows: Range<Int>, at start: Int, on device: Device
    ) {
        let form = layout.layers[layer]
        precondition(
            keys.shape.rank == 3 && keys.shape[1] == form.keyHeads && keys.shape[2] == form.headWidth
                && values.shape[2] == form.valueWidth,
            "BlockTable: keys \(keys.shape) and values \(values.shape) for \(form.keyHeads) heads of \(form.headWidth)")
        precondition(
            start >= 0 && start + rows.count <= length,
            "BlockTable: \(rows.count) rows from \(start), room for \(length)")
        let (keyRow, valueRow) = (form.keyHeads * form.headWidth, form.keyHeads * form.valueWidth)
        let (size, first) = (BlockLayout.positions, start / BlockLayout.positions)
        let touched = BlockLayout.blocks(for: start + rows.count) - first
        device.parallel(touched, cost: size * (keyRow + valueRow)) { range in
            for block in range.lowerBound + first..<range.upperBound + first {
                let lower = max(start, block * size)
                let upper = min(start + rows.count, (block + 1) * size)
                guard let storage = blocks[block]?.storage else { continue }
                let row = rows.lowerBound + lower - start
                unsafe martlet_store_block(
                    layout.type.kernelType, keys.floats + row * keyRow, keyRow, values.floats + row * valueRow,
                    valueRow, upper - lower, form.keyHeads, 0, form.keyHeads, form.headWidth, form.valueWidth,
                    storage.mutablePointer + layout.offsets[layer], lower - block * size)
            }
        }
    }

    /// Appends rows to a table of one layer.
    package mutating func append(keys: Tensor, values: Tensor, rows: Range<Int>, on device: Device) {
        precondition(layout.layers.count == 1, "BlockTable: rows of one of \(layout.layers.count) layers")
        let start = length
        let isDone = extend(by: rows.count, on: device)
        precondition(isDone, "BlockTable: no block left for \(rows.count) rows")
        write(layer: 0, keys: keys, values: values, rows: rows, at: start, on: device)
    }

    /// Forgets all positions from `length` on.
    ///
    /// - Returns: what is kept: none where the window of what would follow was given back in part.
    package mutating func truncate(to length: Int) -> Int {
        precondition(length >= 0 && length <= self.length, "BlockTable: truncate \(self.length) to \(length)")
        let seen = layout.window.map { max(0, length - $0 + 1) } ?? 0
        let kept = seen / BlockLayout.positions < firstKept ? 0 : length
        self.length = kept
        blocks.removeLast(blocks.count - BlockLayout.blocks(for: kept))
        if kept == 0 { firstKept = 0 }
        return kept
    }

    /// Lets go of blocks that no later row sees. One more than needed stays, so that a few positions can be forgotten.
    private mutating func giveBackPassed() {
        guard let window = layout.window else { return }
        let passed = (length - window + 1) / BlockLayout.positions - 1
        while firstKept < passed {
            blocks[firstKept] = nil
            firstKept += 1
        }
    }

    private func take(on device: Device) -> KeyValueBlock? {
        if let pool { return pool.take(bytes: layout.bytes) }
        return KeyValueBlock(device.scratch(bytes: layout.bytes), of: nil)
    }

    /// Puts `block` into the table and its address where kernels find it; the addresses are then this table's alone.
    private mutating func place(_ block: KeyValueBlock, at index: Int) {
        let stride = unsafe MemoryLayout<UnsafeRawPointer?>.stride
        let known = addresses.map { $0.bytes / stride } ?? 0
        if index >= known || !isKnownUniquelyReferenced(&addresses) {
            let larger = Storage(bytes: max(known, index + 1 > known ? max(8, 2 * (index + 1)) : 0) * stride)
            if let addresses {
                unsafe larger.mutablePointer.copyMemory(from: addresses.pointer, byteCount: blocks.count * stride)
            }
            addresses = larger
        }
        if index == blocks.count { blocks.append(block) } else { blocks[index] = block }
        unsafe addresses?.mutablePointer.assumingMemoryBound(to: UnsafeRawPointer?.self)[index] =
            UnsafeRawPointer(block.storage.mutablePointer)
    }

    /// The first of the blocks' addresses; nil before the first position.
    package var table: UnsafePointer<UnsafeRawPointer?>? {
        unsafe addresses?.pointer.assumingMemoryBound(to: UnsafeRawPointer?.self)
    }
}

extension BlockTable {
    /// The keys and values of several sequences of one layer from their first positions on, filled in one loop.
    ///
    /// - Parameters: `keys` `[…, keyHeads, headWidth]`, `values` `[…, keyHeads, valueWidth]`, `rows` of each sequence
    ///   in them.
    package static func filled(keys: Tensor, values: Tensor, rows: [Range<Int>], on device: Device) -> [BlockTable] {
        let empty = BlockTable(keyHeads: keys.shape[1], headWidth: keys.shape[2], valueWidth: values.shape[2])
        precondition(
            values.shape[1] == keys.shape[1] && rows.allSatisfy { $0.upperBound <= keys.shape[0] },
            "BlockTable: keys \(keys.shape) and values \(values.shape), rows \(rows)")
        let tables = rows.map { rows in
            var table = empty
            for index in 0..<BlockLayout.blocks(for: rows.count) {
                table.place(KeyValueBlock(device.scratch(bytes: empty.layout.bytes), of: nil), at: index)
            }
            table.length = rows.count
            return table
        }
        let pieces = tables.indices.flatMap { table in tables[table].blocks.indices.map { (table, $0) } }
        let cost = BlockLayout.positions * (keys.shape.width + values.shape.width) * keys.shape[1]
        device.parallel(pieces.count, cost: cost) {
            for (table, block) in pieces[$0] {
                let first = block * BlockLayout.positions
                tables[table].fill(
                    block, keys, values, row: rows[table].lowerBound + first,
                    count: min(BlockLayout.positions, rows[table].count - first))
            }
        }
        return tables
    }

    /// Writes a whole block from row `row` on; positions beyond `count` are read and masked, so they must be finite.
    private func fill(_ block: Int, _ keys: Tensor, _ values: Tensor, row: Int, count: Int) {
        guard let storage = blocks[block]?.storage else { return }
        let place = unsafe storage.mutablePointer
        let form = layout.layers[0]
        let (keyRow, valueRow) = (form.keyHeads * form.headWidth, form.keyHeads * form.valueWidth)
        if count < BlockLayout.positions {
            unsafe place.initializeMemory(as: UInt8.self, repeating: 0, count: layout.bytes)
        }
        unsafe martlet_store_block(
            layout.type.kernelType, keys.floats + row * keyRow, keyRow, values.floats + row * valueRow, valueRow,
            count, form.keyHeads, 0, form.keyHeads, form.headWidth, form.valueWidth, place, 0)
    }
}

/// The keys and values of one sequence in one layer, as attention reads them.
package struct KeyValueView: Sendable {
    /// The table of blocks, which this keeps alive.
    let table: BlockTable
    let layer: Int

    var form: BlockLayout.Layer { table.layout.layers[layer] }
    package var keyHeads: Int { form.keyHeads }
    package var headWidth: Int { form.headWidth }
    package var valueWidth: Int { form.valueWidth }
    package var type: ElementType { table.layout.type }
    package var length: Int { table.length }
    /// The byte offset of this layer in a block.
    var offset: Int { table.layout.offsets[layer] }
}
