import MartletPlatform
package import MartletTensors

/// softmax(q kᵀ · scale) v with shared keys, after optional normalisation and rotation (arXiv:1706.03762,
/// arXiv:2305.13245).
package struct AttentionLayer: Sendable {
    let form: Architecture.Attention
    let query, key, value, output: Linear
    let queryNorm, keyNorm: NormLayer?
    let disentangled: DisentangledAttention?
    let global: GlobalProjections?
    /// Where keys and values are made of a narrow row; then `query`, `key` and `value` are its last products of queries
    /// and its two of the rest.
    let latent: LatentProjections?
    /// `[queryHeads]`.
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
        key = latent?.keyValueDown ?? projection(form.keyWidth, .key, of: sourceWidth, scope["key"].multiplying(source))
        value =
            latent?.keyValueUp ?? projection(form.keyWidth, .value, of: sourceWidth, scope["value"].multiplying(source))
        output = Linear(
            form.queryHeads * form.valueWidth, width, bias: form.bias.presence(of: .output), .output, scope["output"])
        sinks = form.sinks == .present ? scope.vector("sinks", [form.queryHeads], .zeros, .other) : nil
        let whole = form.queryKeyNormSpan == .allHeads
        queryNorm = form.queryKeyNorm.map {
            NormLayer($0, width: whole ? form.queryWidth : form.headWidth, scope["queryNorm"])
        }
        keyNorm = form.queryKeyNorm.map {
            NormLayer($0, width: whole ? form.keyWidth : form.headWidth, scope["keyNorm"])
        }
        disentangled = DisentangledAttention(form, width: width, query: query, key: key, scope)
        global = GlobalProjections(form, width: width, scope)
    }

    /// `[rows, width]` to the same shape; `positions` is what the pass's positions do in this layer.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, positions: PassPositions, _ state: inout some AttentionState
    ) -> Tensor {
        var (q, k, v) = projected(x)
        var bias = sinks.map { ScoreBias.sinks($0.tensor) }
        switch positions {
        case .none: break
        case .rotation(let table, let neighbours):
            let first = form.latent.map { form.headWidth - $0.rotated } ?? 0
            q = q.rotated(by: table, neighbours: neighbours, from: first)
            k = k.rotated(by: table, neighbours: neighbours, from: first)
        case .distances(let distances): bias = .distances(distances)
        case .relative(let table): bias = disentangled.map { .pairs($0(q, k, table: table, rows)) }
        }
        normalise(&q, &k, over: .rotatedHead)
        if let growth = form.queryGrowth { q = grown(q, growth, rows) }
        (q, k, v) = (kept(q), kept(k), kept(v))
        let inputs = AttentionInputs(query: q, key: k, value: v, bias: bias, global: global?(x, rows))
        return joined(state.attend(layer: layer, form, inputs, rows: rows))
    }

    /// The same over the rows of each sequence's source.
    package func across(
        _ x: Tensor, _ rows: Rows, layer: Int, source: Source, _ state: inout some AttentionState
    ) -> Tensor {
        joined(
            state.attendAcross(
                layer: layer, form, query: kept(heads(query(x), form.queryHeads)), rows: rows, source: source
            ) {
                (kept(heads(key($0), form.keyHeads)), kept(heads(value($0), form.keyHeads)))
            })
    }

    /// Queries `[rows, queryHeads, headWidth]`, keys `[rows, keyHeads, headWidth]` and values `[rows, keyHeads,
    /// valueWidth]`, before positions act on them.
    private func projected(_ x: Tensor) -> (query: Tensor, key: Tensor, value: Tensor) {
        if let latent { return latent(x) }
        let projected = Linear.together([query, key, value], x)
        var (q, k) = (projected[0], projected[1])
        normalise(&q, &k, over: .allHeads)
        (q, k) = (heads(q, form.queryHeads), heads(k, form.keyHeads))
        normalise(&q, &k, over: .head)
        return (q, k, heads(projected[2], form.keyHeads))
    }

    private func normalise(_ q: inout Tensor, _ k: inout Tensor, over span: Architecture.QueryKeyNormSpan) {
        guard form.queryKeyNormSpan == span, let queryNorm, let keyNorm else { return }
        (q, k) = (queryNorm(q), keyNorm(k))
    }

    /// `[rows, heads, headWidth]`, each row multiplied as its position wants.
    private func grown(_ q: Tensor, _ growth: Architecture.QueryGrowth, _ rows: Rows) -> Tensor {
        let factors = rows.positions.map { position in
            1 + growth.factor * logf(1 + Float((Int(position) + growth.first) / growth.every))
        }
        let flat = q.reshaped([q.shape[0], form.queryWidth])
        let scaled = flat.scaled(byRow: q.device(for: "query growth").tensor(factors, shape: [factors.count, 1]))
        return heads(scaled, form.queryHeads)
    }

    private func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([x.shape[0], count, form.headWidth]) }

    /// What attention reads, and a backward pass once more, as the products' operands are.
    private func kept(_ x: Tensor) -> Tensor { x.node != nil && output.operands == .bf16 ? x.asBFloat16() : x }

    private func joined(_ attended: Tensor) -> Tensor {
        output(attended.reshaped([attended.shape[0], form.queryHeads * form.valueWidth]))
    }
}
