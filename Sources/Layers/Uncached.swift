package import MartletTensors

/// Attention within the pass: nothing is remembered.
package struct Uncached: AttentionState {
    /// The attention weights of each layer and sequence, `[queryHeads, rows, keys]`, where they were asked for.
    package private(set) var weights: [Int: [Tensor]] = [:]
    /// The cross-attention weights of each layer and sequence, `[queryHeads, rows, sourceRows]`, where they were asked
    /// for.
    package private(set) var crossWeights: [Int: [Tensor]] = [:]
    private let recording: Recording

    /// A record kept beside the results: none, or attention weights, for looking inside.
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
        var windows: [AttentionPass] = []
        for attention in Uncached.attentions(form, inputs, rows, on: device) {
            switch attention {
            case .window(let pass):
                windows.append(pass)
                if recording == .weights {
                    weights[layer, default: []].append(
                        query.attentionWeights(to: pass.keyValues, pass.span, pass.rule))
                }
            case .windowAndGlobals(let pass):
                pass.attend(into: result)
                if recording == .weights { weights[layer, default: []].append(pass.weights()) }
            case .windowAndSums(let pass, let sums, let first):
                sums.attend(query, window: pass, form: form, first: first, into: result, on: device)
            }
        }
        query.attend(windows, into: result)
        return result
    }

    /// The attention of one sequence of a pass, by what its rows see.
    private enum SequenceAttention {
        case window(AttentionPass)
        case windowAndGlobals(GlobalPass)
        /// The window and the sequence's sums of blocks, of which `first` is the first among those of the pass.
        case windowAndSums(AttentionPass, BlockSums, first: Int)
    }

    /// The attention of each sequence that has rows.
    private static func attentions(
        _ form: Architecture.Attention, _ inputs: AttentionInputs, _ rows: Rows, on device: Device
    ) -> [SequenceAttention] {
        let globals = rows.sequences.map { inputs.global == nil ? [] : form.globals(of: $0) }
        let tables = BlockTable.filled(
            keys: inputs.key, values: inputs.value,
            rows: zip(rows.sequences, globals).map { $1.isEmpty ? $0.rows : 0..<0 }, on: device)
        var (globalsBefore, sumsBefore) = (0, 0)
        return rows.sequences.indices.filter { !rows.sequences[$0].rows.isEmpty }.map { index in
            let sequence = rows.sequences[index]
            precondition(
                sequence.start == 0, "Uncached: a sequence continues at \(sequence.start), but nothing is remembered")
            if let global = inputs.global, !globals[index].isEmpty {
                defer { globalsBefore += globals[index].count }
                return .windowAndGlobals(
                    GlobalPass(
                        form: form, inputs: inputs, global: global, sequence: sequence, globals: globals[index],
                        firstQuery: globalsBefore, device: device))
            }
            let count = sequence.rows.count
            let window = AttentionPass(
                keyValues: tables[index][0], span: form.reach.span(of: sequence, length: count),
                rule: form.scoreRule(keys: count, inputs.bias, sequence: index))
            guard let sums = inputs.sums, sums.count(rows: count) > 0 else { return .window(window) }
            defer { sumsBefore += sums.count(rows: count) }
            return .windowAndSums(window, sums, first: sumsBefore)
        }
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
        let tables = BlockTable.filled(keys: keys, values: values, rows: source.ranges, on: device)
        let parts = rows.sequences.indices.filter { !rows.sequences[$0].rows.isEmpty }.map { index in
            AttentionPass(
                keyValues: tables[index][0],
                span: Architecture.Reach.all.span(of: rows.sequences[index], length: tables[index].length), rule: rule
            )
        }
        query.attend(parts, into: result)
        if recording == .weights {
            crossWeights[layer, default: []] += parts.map { query.attentionWeights(to: $0.keyValues, $0.span, $0.rule) }
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
