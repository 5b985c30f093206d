import MartletPlatform
package import MartletTensors

/// An attention layer, softmax(q kᵀ · scale) v with shared keys, after optional normalisation and rotation
/// (arXiv:1706.03762, arXiv:2305.13245).
package struct AttentionLayer: Sendable {
    let form: Architecture.Attention
    let query, output: Linear
    /// Nil where keys and values are another layer's; `value` is nil too where one projection gives both.
    let key, value: Linear?
    let queryNorm, keyNorm, valueNorm: NormLayer?
    let disentangled: DisentangledAttention?
    let global: GlobalProjections?
    let sums: BlockSumsLayer?
    /// The low-rank projections of latent attention, where keys and values are made of a narrow row; then `query`,
    /// `key` and `value` are its last products of queries and its two of the rest.
    let latent: LatentProjections?
    /// Attention sinks, `[queryHeads]`.
    let sinks: Parameter?

    /// - Parameters:
    ///   - source: the rows that keys and values are made of.
    ///   - sourceWidth: the width of these; nil for `width`.
    package init(
        _ form: Architecture.Attention, width: Int, keysOf source: ParameterUse.Rows = .own, sourceWidth: Int? = nil,
        _ scope: Scope
    ) {
        self.form = form
        func projection(_ outputs: Int, _ role: ParameterRole, of inputs: Int? = nil, _ scope: Scope) -> Linear {
            Linear(inputs ?? width, outputs, bias: form.bias.presence(of: role), role, scope)
        }
        latent = form.latent.map { LatentProjections(form, $0, width: width, scope) }
        query = latent?.query ?? projection(form.queryWidth, .query, scope["query"])
        func keyOrValue(_ role: ParameterRole, _ name: String) -> Linear {
            projection(form.keyWidth, role, of: sourceWidth, scope[name].multiplying(source))
        }
        let (hasKey, hasValue) =
            switch form.keyValues {
            case .own: (true, true)
            case .keysAsValues: (true, false)
            case .layer: (false, false)
            }
        key = latent?.keyValueDown ?? (hasKey ? keyOrValue(.key, "key") : nil)
        value = latent?.keyValueUp ?? (hasValue ? keyOrValue(.value, "value") : nil)
        output = Linear(
            form.queryHeads * form.valueWidth, width, bias: form.bias.presence(of: .output), .output, scope["output"])
        sinks = form.sinks == .present ? scope.vector("sinks", [form.queryHeads], .zeros, .other) : nil
        queryNorm = form.queryKeyNorm(ofHeads: form.queryHeads, scope["queryNorm"])
        keyNorm = hasKey ? form.queryKeyNorm(ofHeads: form.keyHeads, scope["keyNorm"]) : nil
        valueNorm = hasKey ? form.valueNorm.map { NormLayer($0, width: form.headWidth, scope["valueNorm"]) } : nil
        let (q, k) = (query, key)
        disentangled = k.flatMap { DisentangledAttention(form, width: width, query: q, key: $0, scope) }
        global = GlobalProjections(form, width: width, scope)
        sums = BlockSumsLayer(form, width: width, scope)
    }

    /// `[rows, width]` to the same shape; `positions` is what the pass's positions do in this layer, `shared` what
    /// layers without keys and values of their own read.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, positions: PassPositions, shared: inout SharedKeyValues,
        _ state: inout some AttentionState
    ) -> Tensor {
        var (q, own) = projected(x)
        var bias = sinks.map { ScoreBias.sinks($0.tensor) }
        var blockSums: BlockSums?
        switch positions {
        case .none: break
        case .rotation(let table, let neighbours): rotate(&q, &own, by: table, neighbours: neighbours)
        case .distances(let distances): bias = .distances(distances)
        case .distancesAndSums(let distances, let ofSums):
            bias = .distances(distances)
            blockSums = sums?(x, rows, bias: ofSums, project: keysAndValues)
        case .relative(let table):
            if let own { bias = disentangled.map { .pairs($0(q, own.key, table: table, rows)) } }
        }
        finish(&q, &own, positions: rows.positions)
        let (k, v) = keyValues(own, of: layer, &shared)
        let inputs = AttentionInputs(
            query: kept(q), key: k, value: v, bias: bias, global: global?(x, rows), sums: blockSums)
        return joined(state.attend(layer: layer, form, inputs, rows: rows))
    }

    /// Cross-attention over the rows of each sequence's source, `[rows, width]` to the same shape.
    package func across(
        _ x: Tensor, _ rows: Rows, layer: Int, source: Source, _ state: inout some AttentionState
    ) -> Tensor {
        joined(
            state.attendAcross(
                layer: layer, form, query: kept(heads(query(x), form.queryHeads)), rows: rows, source: source
            ) {
                let made = keysAndValues(of: $0)
                return (kept(made.keys), kept(made.values))
            })
    }

    /// Keys `[rows, keyHeads, headWidth]` and values `[rows, keyHeads, valueWidth]` of some rows.
    typealias KeyValues = (key: Tensor, value: Tensor)

    /// Queries `[rows, queryHeads, headWidth]`, and the keys and values that are this layer's own, before positions act
    /// on them.
    private func projected(_ x: Tensor) -> (query: Tensor, own: KeyValues?) {
        if let latent {
            let made = latent(x)
            return (made.query, (made.key, made.value))
        }
        return shaped(Linear.together([query, key, value].compactMap(\.self), x))
    }

    /// The products of the projections as heads, normed and cut off as positions find them.
    func shaped(_ projected: [Tensor]) -> (query: Tensor, own: KeyValues?) {
        var q = projected[0]
        var own: KeyValues? = projected.count == 1 ? nil : (projected[1], projected[projected.count - 1])
        normalise(&q, &own, over: .allHeads)
        if let limit = form.inputLimit {
            q = q.clamped(-limit...limit)
            own = own.map { ($0.key.clamped(-limit...limit), $0.value.clamped(-limit...limit)) }
        }
        q = heads(q, form.queryHeads)
        own = own.map { (heads($0.key, form.keyHeads), heads($0.value, form.keyHeads)) }
        if let valueNorm { own = own.map { ($0.key, valueNorm($0.value)) } }
        normalise(&q, &own, over: .head)
        normalise(&q, &own, over: .eachHead)
        return (q, own)
    }

    /// Rotates queries and keys, and values where they are (RoPE).
    func rotate(_ q: inout Tensor, _ own: inout KeyValues?, by table: RotationTable, neighbours: Bool) {
        let first = form.latent.map { form.headWidth - $0.rotated } ?? 0
        func rotated(_ x: Tensor) -> Tensor { x.rotated(by: table, neighbours: neighbours, from: first) }
        q = rotated(q)
        own = own.map { (rotated($0.key), form.valueRotation == .present ? rotated($0.value) : $0.value) }
    }

    /// What follows rotation: norms of rotated heads, and queries that grow with their positions.
    func finish(_ q: inout Tensor, _ own: inout KeyValues?, positions: [Int32]) {
        normalise(&q, &own, over: .rotatedHead)
        if let growth = form.queryGrowth { q = grown(q, growth, positions) }
    }

    private func normalise(_ q: inout Tensor, _ own: inout KeyValues?, over span: Architecture.QueryKeyNormSpan) {
        guard form.queryKeyNormSpan == span else { return }
        if let queryNorm { q = queryNorm(q) }
        if let keyNorm { own = own.map { (keyNorm($0.key), $0.value) } }
    }

    /// The keys and values that are attended to: the layer's own, or those of the layer that it shares them with.
    private func keyValues(_ own: KeyValues?, of layer: Int, _ shared: inout SharedKeyValues) -> KeyValues {
        if case .layer(let other) = form.keyValues { return shared.keyValues(of: other) }
        guard let own else { preconditionFailure("AttentionLayer: layer \(layer) has no keys and values") }
        let mine = (kept(own.key), kept(own.value))
        shared.keep(mine.0, mine.1, of: layer)
        return mine
    }

    /// The grown queries, `[rows, heads, headWidth]`, each row multiplied as its position wants.
    private func grown(_ q: Tensor, _ growth: Architecture.QueryGrowth, _ positions: [Int32]) -> Tensor {
        let factors = positions.map { position in
            1 + growth.factor * logf(1 + Float((Int(position) + growth.first) / growth.every))
        }
        let flat = q.reshaped([q.shape[0], form.queryWidth])
        let scaled = flat.scaled(byRow: q.device(for: "query growth").tensor(factors, shape: [factors.count, 1]))
        return heads(scaled, form.queryHeads)
    }

    private func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([x.shape[0], count, form.headWidth]) }

    /// `x` in the element type of the products' operands, as attention reads it, and a backward pass once more: bf16
    /// where gradients flow and operands are bf16.
    private func kept(_ x: Tensor) -> Tensor { x.node != nil && output.operands == .bf16 ? x.asBFloat16() : x }

    private func joined(_ attended: Tensor) -> Tensor {
        output(attended.reshaped([attended.shape[0], form.queryHeads * form.valueWidth]))
    }
}

extension Architecture.Attention {
    /// The norm over `heads` heads of queries or keys; nil where there is none.
    fileprivate func queryKeyNorm(ofHeads heads: Int, _ scope: Scope) -> NormLayer? {
        guard let norm = queryKeyNorm else { return nil }
        switch queryKeyNormSpan {
        case .head, .rotatedHead: return NormLayer(norm, width: headWidth, scope)
        case .allHeads: return NormLayer(norm, width: heads * headWidth, scope)
        case .eachHead: return NormLayer(epsilon: norm.epsilon, heads: heads, width: headWidth, scope)
        }
    }
}
