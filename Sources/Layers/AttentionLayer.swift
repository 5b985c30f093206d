import MartletPlatform
package import MartletTensors

/// softmax(q kᵀ · scale) v with shared keys, after optional normalisation and rotation (arXiv:1706.03762, arXiv:2305.13245).
package struct AttentionLayer: Sendable {
    let form: Architecture.Attention
    let query, key, value, output: Linear
    let queryNorm, keyNorm: NormLayer?
    let disentangled: DisentangledAttention?
    let global: GlobalProjections?

    /// - Parameter source: the rows that keys and values are made of.
    package init(
        _ form: Architecture.Attention, width: Int, keysOf source: ParameterUse.Rows = .own, _ scope: Scope
    ) {
        self.form = form
        let inputBias: Architecture.Presence = form.bias == .all || form.bias == .queryKeyValue ? .present : .absent
        let outputBias: Architecture.Presence = form.bias == .all || form.bias == .output ? .present : .absent
        query = Linear(width, form.queryWidth, bias: inputBias, .query, scope["query"])
        key = Linear(width, form.keyWidth, bias: inputBias, .key, scope["key"].multiplying(source))
        value = Linear(width, form.keyWidth, bias: inputBias, .value, scope["value"].multiplying(source))
        output = Linear(form.queryWidth, width, bias: outputBias, .output, scope["output"])
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
        let projected = Linear.together([query, key, value], x)
        var (q, k) = (projected[0], projected[1])
        var v = heads(projected[2], form.keyHeads)
        normalise(&q, &k, over: .allHeads)
        (q, k) = (heads(q, form.queryHeads), heads(k, form.keyHeads))
        normalise(&q, &k, over: .head)
        var bias: ScoreBias?
        switch positions {
        case .none: break
        case .rotation(let table, let neighbours):
            (q, k) = (q.rotated(by: table, neighbours: neighbours), k.rotated(by: table, neighbours: neighbours))
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

    private func normalise(_ q: inout Tensor, _ k: inout Tensor, over span: Architecture.QueryKeyNormSpan) {
        guard form.queryKeyNormSpan == span, let queryNorm, let keyNorm else { return }
        (q, k) = (queryNorm(q), keyNorm(k))
    }

    /// `[rows, heads, headWidth]`, each row multiplied as its position wants.
    private func grown(_ q: Tensor, _ growth: Architecture.QueryGrowth, _ rows: Rows) -> Tensor {
        let factors = rows.positions.map { position in
            1 + growth.factor * logf(1 + Float(Int(position) / growth.every))
        }
        let flat = q.reshaped([q.shape[0], form.queryWidth])
        let scaled = flat.scaled(byRow: q.device(for: "query growth").tensor(factors, shape: [factors.count, 1]))
        return heads(scaled, form.queryHeads)
    }

    private func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([x.shape[0], count, form.headWidth]) }

    /// What attention reads, and a backward pass once more, as the products' operands are.
    private func kept(_ x: Tensor) -> Tensor { x.node != nil && output.operands == .bf16 ? x.asBFloat16() : x }

    private func joined(_ attended: Tensor) -> Tensor {
        output(attended.reshaped([attended.shape[0], form.queryWidth]))
    }
}
