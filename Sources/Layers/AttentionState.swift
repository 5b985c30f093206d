import MartletPlatform
package import MartletTensors

/// The attention state, through which queries reach keys: in the pass itself (training, encoders), through one
/// contiguous cache, or through paged blocks.
package protocol AttentionState {
    /// Self-attention, softmax(q kᵀ · scale) v, after the new keys and values have been added to what each sequence
    /// remembers.
    ///
    /// - Returns: `[rows, queryHeads, valueWidth]`.
    mutating func attend(layer: Int, _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows) -> Tensor

    /// Cross-attention: softmax(q kᵀ · scale) v over the rows of each sequence's source.
    ///
    /// - Parameters:
    ///   - query: `[rows, queryHeads, headWidth]`.
    ///   - project: from the source's rows `[sourceRows, width]` to their keys and values `[sourceRows, keyHeads,
    ///     headWidth]`; a state that remembers asks once per source.
    mutating func attendAcross(
        layer: Int, _ form: Architecture.Attention, query: Tensor, rows: Rows, source: Source,
        project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> Tensor
}

/// Attention within the pass: nothing is remembered.
package struct Uncached: AttentionState {
    /// The attention weights of each layer and sequence, `[queryHeads, rows, keys]`, where they were asked for.
    package private(set) var weights: [Int: [Tensor]] = [:]
    /// The cross-attention weights of each layer and sequence, `[queryHeads, rows, sourceRows]`, where they were asked
    /// for.
    package private(set) var crossWeights: [Int: [Tensor]] = [:]
    private let recording: Recording

    package enum Recording: Sendable { case nothing, weights }

    package init(recording: Recording = .nothing) { self.recording = recording }

    package mutating func attend(
        layer: Int, _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows
    ) -> Tensor {
        let query = inputs.query
        if inputs.isTracked && recording == .nothing {
            return attendTracked(
                form, inputs, rows: rows, dropout: rows.training?.attentionDropout(layer: layer, across: false))
        }
        let device = query.device(for: "attend")
        let result = device.make([query.shape[0], form.queryHeads, form.valueWidth])
        let sequences = rows.sequences
        let globalsOf = sequences.map { inputs.global == nil ? [] : form.globals(of: $0) }
        let memories = BlockTable.filled(
            keys: inputs.key, values: inputs.value,
            rows: zip(sequences, globalsOf).map { $1.isEmpty ? $0.rows : 0..<0 }, on: device)
        var parts: [AttentionPass] = []
        var (globalsBefore, sumsBefore) = (0, 0)
        for (index, sequence) in sequences.enumerated() where !sequence.rows.isEmpty {
            precondition(
                sequence.start == 0, "Uncached: a sequence continues at \(sequence.start), but nothing is remembered")
            let globals = globalsOf[index]
            if let global = inputs.global, !globals.isEmpty {
                let pass = GlobalPass(
                    form: form, inputs: inputs, global: global, sequence: sequence, globals: globals,
                    firstQuery: globalsBefore, device: device)
                pass.attend(into: result)
                if recording == .weights { weights[layer, default: []].append(pass.weights()) }
                globalsBefore += globals.count
                continue
            }
            let part = AttentionPass(
                memory: memories[index][0], span: form.reach.span(of: sequence, length: sequence.rows.count),
                rule: form.scoreRule(keys: sequence.rows.count, inputs.bias, sequence: index))
            if let sums = inputs.sums, sums.count(rows: sequence.rows.count) > 0 {
                sums.attend(query, window: part, form: form, first: sumsBefore, into: result, on: device)
                sumsBefore += sums.count(rows: sequence.rows.count)
                continue
            }
            parts.append(part)
            if recording == .weights {
                weights[layer, default: []].append(query.attentionWeights(to: part.memory, part.span, part.rule))
            }
        }
        query.attend(parts, into: result)
        return result
    }

    package mutating func attendAcross(
        layer: Int, _ form: Architecture.Attention, query: Tensor, rows: Rows, source: Source,
        project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> Tensor {
        let device = query.device(for: "attendAcross")
        let result = device.make(query.shape)
        let (keys, values) = project(source.hidden)
        var rule = form.scoreRule(keys: 0)
        if recording == .nothing && (query.node ?? keys.node ?? values.node) != nil {
            rule.dropout = rows.training?.attentionDropout(layer: layer, across: true)
            let parts = zip(rows.sequences, source.ranges).filter { !$0.0.rows.isEmpty }.map { sequence, keys in
                AttentionPart(
                    span: Architecture.Reach.all.span(of: sequence, length: keys.count), keys: keys, rule: rule)
            }
            return query.attention([AttentionSource(keys: keys, values: values)], parts)
        }
        let memories = BlockTable.filled(keys: keys, values: values, rows: source.ranges, on: device)
        let parts = rows.sequences.indices.filter { !rows.sequences[$0].rows.isEmpty }.map { index in
            AttentionPass(
                memory: memories[index][0],
                span: Architecture.Reach.all.span(of: rows.sequences[index], length: memories[index].length), rule: rule
            )
        }
        query.attend(parts, into: result)
        if recording == .weights {
            crossWeights[layer, default: []] += parts.map { query.attentionWeights(to: $0.memory, $0.span, $0.rule) }
        }
        return result
    }
}

extension AttentionInputs {
    /// True where gradients flow through.
    fileprivate var isTracked: Bool {
        if (query.node ?? key.node ?? value.node) != nil { return true }
        return switch bias {
        case nil: false
        case .distances(let bias): bias.values.node != nil
        case .pairs(let biases): biases.contains { $0.node != nil }
        case .sinks(let sinks): sinks.node != nil
        }
    }
}

extension Uncached {
    /// Attention that gradients flow through, and dropout.
    private func attendTracked(
        _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows, dropout: Dropout?
    ) -> Tensor {
        if let global = inputs.global {
            return GlobalGradients(form: form, inputs: inputs, global: global, rows: rows, dropout: dropout).attend()
        }
        let parts = rows.sequences.indices.filter { !rows.sequences[$0].rows.isEmpty }.map { index in
            let sequence = rows.sequences[index]
            precondition(sequence.start == 0, "Uncached: a sequence continues, but nothing is remembered")
            var rule = form.scoreRule(keys: sequence.rows.count, inputs.bias, sequence: index)
            rule.dropout = dropout
            return AttentionPart(
                span: form.reach.span(of: sequence, length: sequence.rows.count), keys: sequence.rows, rule: rule)
        }
        return inputs.query.attention([AttentionSource(keys: inputs.key, values: inputs.value)], parts)
    }
}

extension BlockTable {
    /// The KV cache of one layer for one sequence, filled at once with rows `rows` of `keys` and `values`.
    package init(_ form: Architecture.Attention, keys: Tensor, values: Tensor, rows: Range<Int>, on device: Device) {
        self.init(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.valueWidth)
        append(keys: keys, values: values, rows: rows, on: device)
    }
}

extension Architecture.Attention {
    /// The rule for scores of `keys` keys, from the first position on, of sequence `sequence` of a pass.
    package func scoreRule(keys: Int, _ bias: ScoreBias? = nil, sequence: Int = 0) -> ScoreRule {
        var rule = ScoreRule(scale: scale, cap: scoreCap)
        if case .linearBias(let kind) = positions {
            switch kind {
            case .afterScaling: rule.slopes = Architecture.Attention.slopes(heads: queryHeads)
            case .beforeScaling: rule.bias = .pairs(roundedBias(keys: keys))
            // Comes with the pass, by distance.
            case .bothWays: break
            }
        }
        switch bias {
        case nil: break
        case .distances(let bias): rule.bias = .distances(bias)
        case .pairs(let biases): rule.bias = .pairs(biases[sequence])
        case .sinks(let sinks): rule.sinks = sinks
        }
        return rule
    }

    /// ALiBi rounded to bf16, slope · key · scale, with slope and product rounded to bf16, so that they are no longer
    /// alike for equal distances: `[heads, 1, keys]`.
    func roundedBias(keys: Int) -> Tensor {
        let slopes = Architecture.Attention.slopes(heads: queryHeads)
        let values = slopes.flatMap { slope in
            (0..<keys).map { (slope.roundedToBFloat16 * Float($0)).roundedToBFloat16 * scale }
        }
        return Tensor(values, shape: [slopes.count, 1, keys])
    }

    /// ALiBi's slopes (arXiv:2108.12409): 2^(−8 i / n) for a power of two n; otherwise those of the next lower power,
    /// then every second one of the next higher.
    static func slopes(heads: Int) -> [Float] {
        func geometric(_ count: Int) -> [Float] {
            let ratio = exp2(-8 / Double(count))
            return (1...count).map { Float(pow(ratio, Double($0))) }
        }
        let lower = 1 << (Int.bitWidth - 1 - max(heads, 1).leadingZeroBitCount)
        guard lower < heads else { return geometric(heads) }
        let between = geometric(lower * 2).enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
        return geometric(lower) + between.prefix(heads - lower)
    }
}

extension Float {
    /// The nearest number of eight significant bits, ties to even. - Precondition: finite.
    fileprivate var roundedToBFloat16: Float {
        Float(bitPattern: (bitPattern + 0x7fff + (bitPattern >> 16 & 1)) & 0xffff_0000)
    }
}

extension Architecture.Reach {
    /// The keys that each row of a sequence sees, of `length`.
    package func span(of sequence: Rows.Sequence, length: Int) -> AttentionSpan {
        let positions = sequence.rows.indices.map { Int32(sequence.start + $0 - sequence.rows.lowerBound) }
        let length = Int32(clamping: length)
        switch self {
        case .all:
            return AttentionSpan(
                rows: sequence.rows, positions: positions, lower: positions.map { _ in 0 },
                upper: positions.map { _ in length })
        case .past:
            return AttentionSpan(
                rows: sequence.rows, positions: positions, lower: positions.map { _ in 0 },
                upper: positions.map { $0 + 1 })
        case .window(let size):
            let size = Int32(clamping: size)
            return AttentionSpan(
                rows: sequence.rows, positions: positions, lower: positions.map { max(0, $0 - size + 1) },
                upper: positions.map { $0 + 1 })
        case .chunk(let size):
            let size = Int32(clamping: size)
            return AttentionSpan(
                rows: sequence.rows, positions: positions, lower: positions.map { $0 - $0 % size },
                upper: positions.map { $0 + 1 })
        case .around(let size), .aroundAndGlobal(let size, _), .aroundAndSums(let size, _):
            let size = Int32(clamping: size)
            return AttentionSpan(
                rows: sequence.rows, positions: positions, lower: positions.map { max(0, $0 - size) },
                upper: positions.map { min(length, $0 + size + 1) })
        }
    }
}
