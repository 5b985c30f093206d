// MartletGeneration: from a prompt's token ids to the ids that follow. Knows no text, no file and no server.

package import MartletLayers
package import MartletModels
package import MartletTensors

/// The KV cache of any number of sequences in every layer of a decoder, by name: they join, fork and leave as they
/// like.
///
/// A value: a copy continues by itself, also on another thread. Copies and forks share blocks of 64 positions until one
/// of them writes. A cached pass gives the bits of an uncached one, whatever the chunks it was fed in and whatever
/// other sequences are in it.
package struct KeyValueCache: AttentionState, Sendable {
    /// The keys and values that are kept of one sequence.
    private struct Sequence: Sendable {
        let id: SequenceID
        /// The tables of blocks, one for each reach of the layers.
        var tables: [BlockTable]
        /// Keys and values of the encoder's output; nil where none has been read.
        var source: BlockTable?
        /// The first layers with cross-attention, this many, have written theirs.
        var sourceLayers = 0
        /// The extent that the sequence was known to reach when it was read last.
        var extent = 0

        var length: Int { tables.first?.length ?? 0 }

        func renamed(_ id: SequenceID) -> Sequence {
            Sequence(id: id, tables: tables, source: source, sourceLayers: sourceLayers, extent: extent)
        }
    }

    package let layout: KeyValueLayout
    /// The pool that blocks are taken from; may be shared by several caches.
    package let pool: BlockPool
    private let device: Device
    private var sequences: [Sequence] = []
    /// The index in `sequences` of each one.
    private var indices: [SequenceID: Int] = [:]

    /// - Parameters:
    ///   - stack: the decoder's layers.
    ///   - sequences: how many there are in the beginning, numbered from 0.
    ///   - type: what keys and values are kept as: f32, f16, bf16, or q8_0, for which all heads must be multiples of 32
    ///     wide.
    ///   - pool: where blocks come from; one without a limit when nil.
    package init(
        _ stack: Architecture.Stack, sequences: Int = 1, type: ElementType = .f32, pool: BlockPool? = nil,
        on device: Device
    ) {
        self.init(KeyValueLayout(stack, type: type), sequences: sequences, pool: pool, on: device)
    }

    package init(_ layout: KeyValueLayout, sequences: Int = 0, pool: BlockPool? = nil, on device: Device) {
        (self.layout, self.pool, self.device) = (layout, pool ?? BlockPool(), device)
        for number in 0..<sequences { add(SequenceID(number)) }
    }

    /// The element type that keys and values are kept as.
    package var type: ElementType { layout.type }

    // MARK: Sequences

    /// A new sequence, without positions.
    ///
    /// - Precondition: there is none of this name.
    package mutating func add(_ id: SequenceID) {
        insert(Sequence(id: id, tables: layout.tables.map { BlockTable($0, pool: pool) }))
    }

    /// A new sequence that continues what `parent` remembers.
    package mutating func fork(_ parent: SequenceID, as id: SequenceID) {
        insert(sequences[index(of: parent)].renamed(id))
    }

    private mutating func insert(_ sequence: Sequence) {
        let previous = indices.updateValue(sequences.count, forKey: sequence.id)
        precondition(previous == nil, "KeyValueCache: sequence \(sequence.id.number) exists")
        sequences.append(sequence)
    }

    /// Forgets a sequence, if it exists; its blocks go back to the pool where nobody else owns them.
    package mutating func remove(_ id: SequenceID) {
        guard let index = indices.removeValue(forKey: id) else { return }
        sequences.swapAt(index, sequences.count - 1)
        sequences.removeLast()
        if index < sequences.count { indices[sequences[index].id] = index }
    }

    /// Makes sequence i continue what sequence `parents[i]` remembers; a parent may have several heirs, or none, and
    /// there are no others.
    package mutating func select(_ parents: [Int]) {
        let heirs = parents.enumerated().map { number, parent in
            sequences[index(of: SequenceID(parent))].renamed(SequenceID(number))
        }
        (sequences, indices) = ([], [:])
        for heir in heirs { insert(heir) }
    }

    private func index(of id: SequenceID) -> Int {
        guard let index = indices[id] else { preconditionFailure("KeyValueCache: there is no sequence \(id.number)") }
        return index
    }

    /// The number of sequences.
    package var sequenceCount: Int { sequences.count }

    /// The number of positions that sequence `id` has; 0 for one that does not exist.
    package func length(of id: SequenceID = 0) -> Int { indices[id].map { sequences[$0].length } ?? 0 }

    /// Forgets all positions of sequence `id` from `length` on.
    ///
    /// - Returns: what is kept: none where a sliding window has given back keys that later rows would see.
    @discardableResult
    package mutating func truncate(_ id: SequenceID = 0, to length: Int) -> Int {
        let index = index(of: id)
        var kept = length
        for table in layout.tables.indices { kept = min(kept, sequences[index].tables[table].truncate(to: length)) }
        if kept < length {
            for table in layout.tables.indices { _ = sequences[index].tables[table].truncate(to: 0) }
        }
        return kept
    }

    /// Forgets a sequence that outgrows the length after which all of its positions rotate otherwise: it is read anew
    /// (LongRoPE).
    ///
    /// - Parameters:
    ///   - trained: That length; nil where there is none.
    ///   - extent: How far the sequence will reach.
    package mutating func forget(_ id: SequenceID, outgrowing trained: Int?, extent: Int) {
        guard let trained, extent > trained else { return }
        let known = sequences[index(of: id)]
        if known.length > 0 && known.extent <= trained { truncate(id, to: 0) }
    }

    /// The size in bytes of the blocks that `count` more positions of sequence `id` take of the pool.
    package mutating func bytesNeeded(_ id: SequenceID, for count: Int) -> Int {
        let index = index(of: id)
        return layout.tables.indices.reduce(0) { bytes, table in
            bytes + sequences[index].tables[table].blocksNeeded(for: count) * layout.tables[table].bytes
        }
    }

    // MARK: Lent blocks

    /// Lends a block to sequence `id` as number `index` of table `table`: who owns which block is then decided
    /// elsewhere.
    package mutating func lend(_ block: KeyValueBlock, to id: SequenceID, table: Int, at index: Int) {
        sequences[self.index(of: id)].tables[table].lend(block, at: index)
    }

    /// Says that the blocks lent to sequence `id` hold `length` positions already.
    package mutating func resume(_ id: SequenceID, at length: Int) {
        let index = index(of: id)
        for table in layout.tables.indices where length > 0 { sequences[index].tables[table].resume(at: length) }
    }

    // MARK: Passes

    package mutating func attend(
        layer: Int, _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows
    ) -> Tensor {
        precondition(inputs.global == nil, "KeyValueCache: a text with global positions is read in one pass, uncached")
        let place = layout.places[layer]
        let result = device.make([rows.count, form.queryHeads, form.valueWidth])
        var parts: [AttentionPass] = []
        for (number, sequence) in rows.sequences.enumerated() where !sequence.rows.isEmpty {
            let index = index(of: sequence.id)
            // The first layer of each reach makes room for all of its layers.
            if form.keepsKeyValues && place.layer == 0 {
                extend(index, place.table, from: sequence.start, by: sequence.rows.count)
                sequences[index].extent = sequence.extent
            }
            let table = sequences[index].tables[place.table]
            precondition(
                table.length >= sequence.start + sequence.rows.count,
                "KeyValueCache: rows from \(sequence.start), but \(table.length) positions have room")
            if form.keepsKeyValues {
                table.write(
                    layer: place.layer, keys: inputs.key, values: inputs.value, rows: sequence.rows, at: sequence.start,
                    on: device)
            }
            let span = form.reach.span(of: sequence, length: table.length)
            let rule = form.scoreRule(keys: table.length, inputs.bias, sequence: number)
            parts.append(AttentionPass(keyValues: table[place.layer], span: span, rule: rule))
        }
        inputs.query.attend(parts, into: result)
        return result
    }

    package mutating func attendAcross(
        layer: Int, _ form: Architecture.Attention, query: Tensor, rows: Rows, source: Source,
        project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> Tensor {
        if rows.sequences.contains(where: { !hasSource($0.id, layer: layer) }) {
            let (keys, values) = project(source.hidden)
            setSource(rows.sequences.map(\.id), layer: layer, keys: keys, values: values, ranges: source.ranges)
        }
        let result = device.make(query.shape)
        let rule = form.scoreRule(keys: 0)
        let parts = rows.sequences.filter { !$0.rows.isEmpty }.map { sequence in
            let source = sourceTable(of: sequence.id)
            let span = Architecture.Reach.all.span(of: sequence, length: source.length)
            return AttentionPass(keyValues: source[sourceLayer(layer)], span: span, rule: rule)
        }
        query.attend(parts, into: result)
        return result
    }

    private mutating func extend(_ index: Int, _ table: Int, from start: Int, by count: Int) {
        let known = sequences[index].tables[table].length
        precondition(
            known == start,
            "KeyValueCache: rows from \(start) of sequence \(sequences[index].id.number), but \(known) positions are cached"
        )
        let isDone = sequences[index].tables[table].extend(by: count, on: device)
        precondition(isDone, "KeyValueCache: \(count) rows do not fit a pool of \(pool.limit ?? 0) bytes")
    }

    // MARK: Decode steps

    /// Makes room for one more position of a row's sequence.
    package mutating func extend(for row: StepRow) {
        let index = index(of: row.sequence)
        for table in 0..<layout.tables.count { extend(index, table, from: row.position, by: 1) }
        sequences[index].extent = row.extent
    }

    /// Tells a step where the blocks of a row's sequence are.
    func place(_ row: StepRow, at index: Int, in plan: StepPlan) {
        let sequence = self.index(of: row.sequence)
        let count = layout.tables.count
        for table in 0..<count {
            unsafe plan.setBlocks(
                table, row: index, sequences[sequence].tables[table].table, position: row.position)
        }
        guard layout.source != nil else { return }
        let source = sourceTable(of: row.sequence)
        unsafe plan.setBlocks(count, row: index, source.table, position: source.length - 1)
    }

    // MARK: The encoder's output

    /// Keeps what cross-attention of layer `layer` reads: sequence `ids[i]` reads rows `ranges[i]` of `keys` and
    /// `values`.
    ///
    /// Sequences that are forked later share it.
    package mutating func setSource(
        _ ids: [SequenceID], layer: Int, keys: Tensor, values: Tensor, ranges: [Range<Int>]
    ) {
        guard let form = layout.source else { return }
        let number = sourceLayer(layer)
        for (id, range) in zip(ids, ranges) {
            let index = index(of: id)
            var table = sequences[index].source ?? BlockTable(form, pool: pool)
            if table.length == 0 {
                let isDone = table.extend(by: range.count, on: device)
                precondition(isDone, "KeyValueCache: \(range.count) rows do not fit a pool of \(pool.limit ?? 0) bytes")
            }
            table.write(layer: number, keys: keys, values: values, rows: range, at: 0, on: device)
            (sequences[index].source, sequences[index].sourceLayers) = (table, number + 1)
        }
    }

    private func hasSource(_ id: SequenceID, layer: Int) -> Bool {
        sequences[index(of: id)].sourceLayers > sourceLayer(layer)
    }

    private func sourceLayer(_ layer: Int) -> Int {
        guard let number = layout.sourceLayers[layer] else {
            preconditionFailure("KeyValueCache: layer \(layer) has no cross-attention")
        }
        return number
    }

    private func sourceTable(of id: SequenceID) -> BlockTable {
        guard let source = sequences[index(of: id)].source else {
            preconditionFailure("KeyValueCache: sequence \(id.number) has no encoder output")
        }
        return source
    }
}
