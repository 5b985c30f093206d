import CMartletKernels

/// One call of the attention kernel, taken apart by key head: the numbers and pointers it needs, in memory that lives
/// as long as this.
@safe struct AttentionWork {
    let group: Int
    let segments: Int
    private let keyHeads: Int
    private let rows: Int
    private let keys: Int
    private var template: martlet_attention
    /// Memory that the template points into.
    private var held: [Storage]
    private let keyValues: KeyValueView

    init(
        query: Tensor, _ keyValues: KeyValueView, _ span: AttentionSpan, _ rule: ScoreRule, result: Tensor,
        on device: Device
    ) {
        let shape = query.shape
        AttentionWork.check(shape, keyValues, span, rule)
        keys = Int(span.upper.max() ?? 0)
        (keyHeads, rows, group) = (keyValues.keyHeads, span.rows.count, shape[1] / keyValues.keyHeads)
        segments = (keys + Int(MARTLET_SEGMENT) - 1) / Int(MARTLET_SEGMENT)
        let numbers = AttentionNumbers(span, slopes: rule.slopes, on: device)
        held = [numbers.storage, query.storage, result.storage] + [rule.sinks?.storage].compactMap(\.self)
        self.keyValues = keyValues
        let (queryStride, outputStride) = (shape[1] * shape[2], shape[1] * keyValues.valueWidth)
        // Only looking inside passes the query as its own result, and then nothing is written.
        let output = unsafe UnsafeMutablePointer(mutating: result.floats)
        unsafe template = martlet_attention(
            queries: query.floats + span.rows.lowerBound * queryStride, query_stride: queryStride,
            outputs: output + span.rows.lowerBound * outputStride, output_stride: outputStride, rows: rows,
            group: group, head_width: shape[2], value_width: keyValues.valueWidth, blocks: keyValues.table.table,
            block_offset: keyValues.offset, block_type: keyValues.type.kernelType, key_heads: keyHeads, key_head: 0,
            lower: numbers.lower, upper: numbers.upper, scale: rule.scale, cap: rule.cap ?? 0,
            slopes: rule.slopes == nil ? nil : numbers.slopes, positions: numbers.positions, bias: nil,
            bias_head_stride: 0, bias_row_stride: 0,
            dropout: Self.dropout(rule.dropout, firstRow: span.rows.lowerBound, heads: shape[1]),
            sinks: rule.sinks?.floats)
        switch rule.bias {
        case nil: break
        case .pairs(let bias): setBias(bias, heads: shape[1])
        case .distances(let bias): setBias(bias, span, heads: shape[1])
        }
    }

    private static func check(_ shape: Shape, _ keyValues: KeyValueView, _ span: AttentionSpan, _ rule: ScoreRule) {
        precondition(
            shape.rank == 3 && shape[2] == keyValues.headWidth && shape[1] % keyValues.keyHeads == 0
                && span.rows.upperBound <= shape[0],
            "attention: \(shape) to \(keyValues.keyHeads) heads of \(keyValues.headWidth), rows \(span.rows)")
        let keys = Int(span.upper.max() ?? 0)
        precondition(keys <= keyValues.length, "attention: key \(keys) of \(keyValues.length)")
        precondition(rule.slopes.map { $0.count == shape[1] } ?? true, "attention: \(shape[1]) heads, other slopes")
        precondition(
            rule.sinks.map { $0.shape == [shape[1]] } ?? true,
            "attention: \(shape[1]) heads, sinks of \(rule.sinks?.shape ?? [])")
    }

    /// Every row of a pass and head draws numbers of its own.
    private static func dropout(_ dropout: Dropout?, firstRow: Int, heads: Int) -> martlet_attention_dropout {
        guard let dropout else { return martlet_attention_dropout() }
        let place = dropout.heads ?? Dropout.HeadPlace(first: 0, count: heads)
        return martlet_attention_dropout(
            threshold: dropout.threshold, factor: dropout.factor, key: dropout.seed, stream: dropout.stream,
            first: UInt64(firstRow * place.count + place.first), row_stride: UInt64(place.count))
    }

    private mutating func setBias(_ bias: Tensor, heads: Int) {
        let shape = bias.shape
        precondition(
            shape.rank == 3 && (shape[0] == heads || shape[0] == 1) && (shape[1] == rows || shape[1] == 1)
                && shape[2] >= keys,
            "attention: bias of \(shape) for \(heads) heads, \(rows) rows, \(keys) keys")
        held.append(bias.storage)
        unsafe template.bias = bias.floats
        unsafe template.bias_head_stride = shape[0] == 1 ? 0 : shape[1] * shape[2]
        unsafe template.bias_row_stride = shape[1] == 1 ? 0 : shape[2]
    }

    /// Row r sees key k at column zero + k − position(r): one step back for each row of consecutive positions, none
    /// where all have the same.
    private mutating func setBias(_ bias: DistanceBias, _ span: AttentionSpan, heads: Int) {
        guard let first = span.positions.first, let last = span.positions.last else { return }
        let (columns, zero) = (bias.values.shape[1], bias.zero)
        precondition(
            bias.values.shape[0] == heads && [0, rows - 1].contains(Int(last - first)) && zero >= Int(last)
                && zero + keys - Int(first) <= columns,
            "attention: biases of \(bias.values.shape) around \(zero) for positions \(first)...\(last), \(keys) keys")
        held.append(bias.values.storage)
        unsafe template.bias = bias.values.floats + (zero - Int(first))
        unsafe template.bias_head_stride = columns
        unsafe template.bias_row_stride = last == first ? 0 : -1
    }

    /// The work of one key head.
    func part(keyHead: Int) -> martlet_attention {
        var part = unsafe template
        let head = keyHead * group
        unsafe part.key_head = keyHead
        unsafe part.queries += head * part.head_width
        unsafe part.outputs += head * part.value_width
        if let slopes = unsafe part.slopes { unsafe part.slopes = slopes + head }
        if let bias = unsafe part.bias { unsafe part.bias = bias + head * part.bias_head_stride }
        if let sinks = unsafe part.sinks { unsafe part.sinks = sinks + head }
        unsafe part.dropout.first += UInt64(head)
        return unsafe part
    }

    /// The work of one key head for some of the rows.
    func part(keyHead: Int, rows: Range<Int>) -> martlet_attention {
        var part = unsafe part(keyHead: keyHead)
        let first = rows.lowerBound
        unsafe part.rows = rows.count
        unsafe part.queries += first * part.query_stride
        unsafe part.outputs += first * part.output_stride
        unsafe part.lower += first
        unsafe part.upper += first
        unsafe part.positions += first
        if let bias = unsafe part.bias { unsafe part.bias = bias + first * part.bias_row_stride }
        unsafe part.dropout.first += UInt64(first) * part.dropout.row_stride
        return unsafe part
    }

    var rowCost: Int { unsafe group * (template.head_width + template.value_width) }

    /// Query rows that one chunk takes, of one key head: together they pass over a block of keys once.
    private var tile: Int { max(16, 48 / group) }
    private var tiles: Int { (rows + tile - 1) / tile }

    /// Tiles of query rows and key heads are shared among the threads.
    func runByRow(on device: Device) { AttentionWork.runByRow([self], on: device) }

    /// Runs the work of several sequences: their tiles of query rows and key heads are shared among the threads.
    static func runByRow(_ works: [AttentionWork], on device: Device) {
        let items = works.indices.flatMap { work in
            (0..<works[work].keyHeads * works[work].tiles).map { (work: work, item: $0) }
        }
        let cost = works.reduce(0) { max($0, $1.tile * $1.keys * $1.rowCost) }
        device.parallel(items.count, cost: cost) { range in
            var scratch: Storage?
            for (index, item) in items[range] {
                let work = works[index]
                var part = unsafe work.part(keyHead: item / work.tiles)
                let row = item % work.tiles * work.tile
                let own = scratch ?? work.scratch(on: device)
                scratch = own
                unsafe martlet_attend(
                    &part, row, min(work.rows, row + work.tile), own.mutablePointer.assumingMemoryBound(to: Float.self))
            }
        }
    }

    /// Runs one query over many keys: the segments are shared out, then merged in order, which gives the same bits.
    func runBySegment(on device: Device) {
        var whole = unsafe template
        let floats = unsafe martlet_attend_partial_floats(&whole)
        let partials = device.scratch(bytes: keyHeads * segments * floats * 4)
        device.parallel(keyHeads * segments, cost: Int(MARTLET_SEGMENT) * rowCost) { range in
            let scratch = scratch(on: device)
            for item in range {
                var part = unsafe part(keyHead: item / segments)
                unsafe martlet_attend_segment(
                    &part, item % segments, partials.mutablePointer.assumingMemoryBound(to: Float.self) + item * floats,
                    scratch.mutablePointer.assumingMemoryBound(to: Float.self))
            }
        }
        device.parallel(keyHeads, cost: segments * floats) { range in
            for head in range {
                var part = unsafe part(keyHead: head)
                let own = unsafe partials.pointer.assumingMemoryBound(to: Float.self) + head * segments * floats
                unsafe martlet_attend_merge(&part, own, segments)
            }
        }
    }

    private func scratch(on device: Device) -> Storage {
        var whole = unsafe template
        return device.scratch(bytes: unsafe martlet_attend_scratch(&whole) * 4)
    }
}

/// The numbers of one attention that the kernel reads by pointers: the keys that each row sees and the row's position,
/// and the slopes of the heads.
@safe private struct AttentionNumbers {
    let storage: Storage
    private let rows: Int

    init(_ span: AttentionSpan, slopes: [Float]?, on device: Device) {
        rows = span.rows.count
        storage = device.scratch(bytes: (rows * 3 + (slopes?.count ?? 0)) * 4)
        for row in 0..<rows {
            unsafe lower[row] = span.lower[row]
            unsafe upper[row] = span.upper[row]
            unsafe positions[row] = span.positions[row]
        }
        for (head, slope) in (slopes ?? []).enumerated() { unsafe self.slopes[head] = slope }
    }

    var lower: UnsafeMutablePointer<Int32> {
        unsafe storage.mutablePointer.assumingMemoryBound(to: Int32.self)
    }
    var upper: UnsafeMutablePointer<Int32> { unsafe lower + rows }
    var positions: UnsafeMutablePointer<Int32> { unsafe lower + rows * 2 }
    var slopes: UnsafeMutablePointer<Float> {
        unsafe (storage.mutablePointer + rows * 12).assumingMemoryBound(to: Float.self)
    }
}
