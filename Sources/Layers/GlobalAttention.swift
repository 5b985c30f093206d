package import MartletTensors

/// Longformer's global positions (arXiv:2004.05150): they see every key, and every query sees them beside its window,
/// at a cost that grows linearly with the length of the text.
///
/// A query at a global position uses projections of its own, and so do the keys and values that it sees; all other
/// queries see a global position's ordinary key and value.
package struct GlobalAttention: Sendable {
    /// The queries, `[global rows of the pass, queryHeads, headWidth]`, in the order of the rows.
    package let query: Tensor
    /// The keys and values, `[rows, keyHeads, headWidth]`.
    package let key, value: Tensor

    package init(query: Tensor, key: Tensor, value: Tensor) {
        (self.query, self.key, self.value) = (query, key, value)
    }
}

extension Architecture.Attention {
    /// The global positions of a sequence: those that the pass names, or the first ones.
    package func globals(of sequence: Rows.Sequence) -> [Int] {
        guard case .aroundAndGlobal(_, let first) = reach else { return [] }
        return sequence.globals ?? Array(0..<min(first, sequence.rows.count))
    }
}

/// The projections of global positions.
struct GlobalProjections: Sendable {
    private let form: Architecture.Attention
    private let query, key, value: Linear

    /// Creates the projections; nil where no position is global.
    init?(_ form: Architecture.Attention, width: Int, _ scope: Scope) {
        guard case .aroundAndGlobal(_, let first) = form.reach else { return nil }
        self.form = form
        // Where no position is global, nothing passes through them.
        let seen = scope.multiplying(first > 0 ? .own : .fixed(0))
        func projection(_ outputs: Int, _ role: ParameterRole, _ scope: Scope) -> Linear {
            Linear(width, outputs, bias: form.bias.presence(of: role), role, scope)
        }
        query = projection(form.queryWidth, .query, scope["globalQuery"].multiplying(.fixed(first)))
        key = projection(form.keyWidth, .key, seen["globalKey"])
        value = projection(form.keyWidth, .value, seen["globalValue"])
    }

    /// The queries, keys and values of global positions; nil where no row of the pass is global.
    func callAsFunction(_ x: Tensor, _ rows: Rows) -> GlobalAttention? {
        let indices = rows.sequences.flatMap { sequence in
            form.globals(of: sequence).map { sequence.rows.lowerBound + $0 }
        }
        guard !indices.isEmpty else { return nil }
        func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([x.shape[0], count, form.headWidth]) }
        return GlobalAttention(
            query: heads(query(x.selecting(rows: indices)), form.queryHeads), key: heads(key(x), form.keyHeads),
            value: heads(value(x), form.keyHeads))
    }
}

/// The attention of one sequence that has global positions.
struct GlobalPass {
    let form: Architecture.Attention
    let inputs: AttentionInputs
    let global: GlobalAttention
    let sequence: Rows.Sequence
    /// Positions in the sequence.
    let globals: [Int]
    /// The row of `global.query` that belongs to `globals[0]`.
    let firstQuery: Int
    let device: Device

    private var rule: ScoreRule { form.scoreRule(keys: sequence.rows.count) }

    /// Writes this sequence's rows of `result` `[rows, queryHeads, headWidth]`.
    func attend(into result: Tensor) {
        let text = BlockTable(form, keys: inputs.key, values: inputs.value, rows: sequence.rows, on: device)[0]
        let rows = globals.map { sequence.rows.lowerBound + $0 }
        let chosen = BlockTable(
            form, keys: inputs.key.selecting(rowsOfHeads: rows), values: inputs.value.selecting(rowsOfHeads: rows),
            rows: 0..<rows.count,
            on: device)[0]
        let (before, window, after) = spans
        inputs.query.attend(to: [(chosen, before), (text, window), (chosen, after)], rule, into: result)
        let answers = device.make(global.query.shape)
        global.query.attend(to: globalKeyValues, globalSpan, rule, into: answers)
        result.replace(rows: rows, with: answers.rows(firstQuery..<firstQuery + globals.count))
    }

    /// The spans of keys that each row sees: of the global positions those before its window, of the text its window,
    /// and the global positions after it. Global positions inside the window count once, as part of it.
    fileprivate var spans: (before: AttentionSpan, window: AttentionSpan, after: AttentionSpan) {
        let window = form.reach.span(of: sequence, length: sequence.rows.count)
        let before = AttentionSpan(
            rows: sequence.rows, positions: window.positions, lower: window.lower.map { _ in 0 },
            upper: window.lower.map { lower in Int32(firstGlobal(from: Int(lower))) })
        let after = AttentionSpan(
            rows: sequence.rows, positions: window.positions,
            lower: window.upper.map { upper in Int32(firstGlobal(from: Int(upper))) },
            upper: window.upper.map { _ in Int32(globals.count) })
        return (before, window, after)
    }

    /// The attention weights, `[queryHeads, rows, rows]`, which is quadratic: for looking inside.
    func weights() -> Tensor {
        let count = sequence.rows.count
        let text = BlockTable(form, keys: inputs.key, values: inputs.value, rows: sequence.rows, on: device)[0]
        let window = form.reach.span(of: sequence, length: count)
        var mask = [Float](repeating: -.infinity, count: count * count)
        for row in 0..<count {
            for key in Int(window.lower[row])..<Int(window.upper[row]) { mask[row * count + key] = 0 }
            for key in globals { mask[row * count + key] = 0 }
        }
        var rule = rule
        rule.bias = .pairs(device.tensor(mask, shape: [1, count, count]))
        let weights = inputs.query.attentionWeights(
            to: text, Architecture.Reach.all.span(of: sequence, length: count), rule)
        let own = global.query.attentionWeights(to: globalKeyValues, globalSpan, self.rule)
        let targets = (0..<form.queryHeads).flatMap { head in globals.map { head * count + $0 } }
        weights.reshaped([form.queryHeads * count, count]).replace(
            rows: targets, with: own.reshaped([targets.count, count]))
        return weights
    }

    private var globalKeyValues: KeyValueView {
        BlockTable(form, keys: global.key, values: global.value, rows: sequence.rows, on: device)[0]
    }

    /// The attention span of the rows of `global.query`.
    fileprivate var globalSpan: AttentionSpan {
        AttentionSpan(
            rows: firstQuery..<firstQuery + globals.count, positions: globals.map { Int32($0) },
            lower: globals.map { _ in 0 }, upper: globals.map { _ in Int32(sequence.rows.count) })
    }

    /// The number of global positions that lie before `position`.
    private func firstGlobal(from position: Int) -> Int { globals.firstIndex { $0 >= position } ?? globals.count }
}

/// Longformer's attention for all sequences of a pass, for gradients: ordinary rows see three pieces of keys under one
/// softmax, global ones the whole text.
struct GlobalGradients {
    let form: Architecture.Attention
    let inputs: AttentionInputs
    let global: GlobalAttention
    let rows: Rows
    let dropout: Dropout?

    /// The attention's result, `[rows, queryHeads, headWidth]`, f32.
    func attend() -> Tensor {
        let device = inputs.query.device(for: "attend")
        let (query, key, value) = (inputs.query.asFloat(), inputs.key.asFloat(), inputs.value.asFloat())
        var (parts, own): ([AttentionPart], [AttentionPart]) = ([], [])
        var globalRows: [Int] = []
        for sequence in rows.sequences where !sequence.rows.isEmpty {
            let pass = GlobalPass(
                form: form, inputs: inputs, global: global, sequence: sequence, globals: form.globals(of: sequence),
                firstQuery: globalRows.count, device: device)
            let chosen = globalRows.count..<globalRows.count + pass.globals.count
            let (before, window, after) = pass.spans
            let inWindow = AttentionPart.Piece(span: window, keys: sequence.rows)
            guard !chosen.isEmpty else {
                parts.append(AttentionPart([inWindow], rule: rule(dropout)))
                continue
            }
            parts.append(
                AttentionPart(
                    [
                        .init(span: before, keys: chosen, source: 1), inWindow,
                        .init(span: after, keys: chosen, source: 1),
                    ], rule: rule(dropout)))
            own.append(AttentionPart(span: pass.globalSpan, keys: sequence.rows, rule: rule(dropout?.piece(3))))
            globalRows += pass.globals.map { sequence.rows.lowerBound + $0 }
        }
        let chosen = AttentionSource(
            keys: key.selecting(rowsOfHeads: globalRows), values: value.selecting(rowsOfHeads: globalRows))
        let attended = query.attention([AttentionSource(keys: key, values: value), chosen], parts)
        let answers = global.query.attention([AttentionSource(keys: global.key, values: global.value)], own)
        return attended.replacing(rows: globalRows, with: answers)
    }

    private func rule(_ dropout: Dropout?) -> ScoreRule {
        var rule = form.scoreRule(keys: 0)
        rule.dropout = dropout
        return rule
    }
}

extension Tensor {
    /// Some rows of `[rows, heads, width]`.
    fileprivate func selecting(rowsOfHeads rows: [Int]) -> Tensor {
        reshaped([shape[0], shape[1] * shape[2]]).selecting(rows: rows).reshaped([rows.count, shape[1], shape[2]])
    }
}
