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
    /// The ranks that divide the heads; nil where each has all.
    private let ranks: (any MatrixRanks)?
    /// The form of the heads that are here.
    let ownForm: Architecture.Attention
    /// The ranks that divide the rows of a pass, each of which attends with its own heads to all rows; nil where all
    /// rows are here.
    private let rowRanks: (any RowRanks)?
    /// The form of the heads that attend here.
    private let attendedForm: Architecture.Attention

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
        let projections = [q, k, value, output].compactMap(\.self)
        let isSimple =
            projections.count == 4 && projections.allSatisfy { $0.ranks != nil } && global == nil && latent == nil
            && sums == nil && sinks == nil && queryNorm == nil && keyNorm == nil && valueNorm == nil
        ranks = isSimple ? output.ranks.flatMap { form.headsAreDivided(among: $0.count) ? $0 : nil } : nil
        ownForm = ranks.map { form.divided(among: $0.count) } ?? form
        rowRanks = scope.source.rowRanks
        attendedForm = rowRanks.map { form.divided(among: $0.count) } ?? ownForm
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
        case .distances(let distances): bias = .distances(ownHeads(of: distances))
        case .distancesAndSums(let distances, let ofSums):
            bias = .distances(distances)
            blockSums = sums?(x, rows, bias: ofSums, project: keysAndValues)
        case .relative(let table):
            if let own { bias = disentangled.map { .pairs($0(q, own.key, table: table, rows)) } }
        }
        finish(&q, &own, positions: rows.positions)
        let rows = placed(rows)
        let (k, v) = keyValues(own, of: layer, &shared)
        func byHeads(_ x: Tensor) -> Tensor { attending(x, rows: rows.total) }
        let inputs = AttentionInputs(
            query: byHeads(kept(q)), key: byHeads(k), value: byHeads(v), bias: bias, global: global?(x, rows),
            sums: blockSums)
        return joined(state.attend(layer: layer, attendedForm, inputs, rows: rows))
    }

    /// Cross-attention over the rows of each sequence's source, `[rows, width]` to the same shape.
    package func across(
        _ x: Tensor, _ rows: Rows, layer: Int, source: Source, _ state: inout some AttentionState
    ) -> Tensor {
        let own = kept(heads(together([query], x)[0], ownForm.queryHeads))
        return joined(
            state.attendAcross(
                layer: layer, attendedForm, query: attending(own, rows: rows.total), rows: placed(rows), source: source
            ) {
                let (made, total) = (keysAndValues(of: $0), source.ranges.last?.upperBound ?? 0)
                return (attending(kept(made.keys), rows: total), attending(kept(made.values), rows: total))
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
        return shaped(together([query, key, value].compactMap(\.self), x))
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
        q = heads(q, ownForm.queryHeads)
        own = own.map { (heads($0.key, ownForm.keyHeads), heads($0.value, ownForm.keyHeads)) }
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

    /// The work behind rotation: norms of rotated heads, and queries that grow with their positions.
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
        let flat = q.reshaped([q.shape[0], ownForm.queryWidth])
        let scaled = flat.scaled(byRow: q.device(for: "query growth").tensor(factors, shape: [factors.count, 1]))
        return heads(scaled, ownForm.queryHeads)
    }

    private func heads(_ x: Tensor, _ count: Int) -> Tensor { x.reshaped([x.shape[0], count, form.headWidth]) }

    /// `x` in the element type of the products' operands, as attention reads it, and a backward pass once more: bf16
    /// where gradients flow and operands are bf16.
    private func kept(_ x: Tensor) -> Tensor { x.node != nil && output.operands == .bf16 ? x.asBFloat16() : x }

    /// The output of attention, of the rows that are here.
    private func joined(_ attended: Tensor) -> Tensor {
        let attended = rowRanks.map { attended.byRows(of: $0) } ?? attended
        let rows = attended.reshaped([attended.shape[0], ownForm.queryHeads * form.valueWidth])
        return ranks == nil ? output(rows) : output.ofOwnInputs(rows)
    }

    // MARK: - Divided heads

    /// Projections of the same rows to the heads that are here.
    func together(_ projections: [Linear], _ x: Tensor) -> [Tensor] {
        ranks == nil ? Linear.together(projections, x) : Linear.ownOutputs(projections, x)
    }

    /// `rows` with the place of the heads that are here, by which dropout draws.
    private func placed(_ rows: Rows) -> Rows {
        guard let rank = ranks?.rank ?? rowRanks?.rank else { return rows }
        var rows = rows
        rows.training?.heads = Dropout.HeadPlace(first: rank * attendedForm.queryHeads, count: form.queryHeads)
        return rows
    }

    /// The heads that attend here, of all `rows`, of which a part is here.
    private func attending(_ x: Tensor, rows: Int) -> Tensor { rowRanks.map { x.byHeads(of: $0, rows: rows) } ?? x }

    private func ownHeads(of bias: DistanceBias) -> DistanceBias {
        guard let ranks = ranks ?? rowRanks else { return bias }
        let (heads, distances) = (bias.values.shape[0], bias.values.shape[1])
        let values = bias.values.reshaped([1, heads * distances]).ownColumns(of: ranks)
        return DistanceBias(values: values.reshaped([attendedForm.queryHeads, distances]), zero: bias.zero)
    }
}

extension Architecture.Attention {
    /// Returns whether ranks that divide the rows of a pass can attend with their own heads each: with positions that
    /// act on each row or each head by itself.
    package func headsAreExchanged(among ranks: Int) -> Bool {
        guard keyHeads % ranks == 0, queryHeads % keyHeads == 0, keyValues == .own, valueNorm == nil, sinks == .absent,
            latent == nil, sumsNorm == nil
        else { return false }
        return switch (positions, reach) {
        case (_, .aroundAndGlobal), (_, .aroundAndSums): false
        case (.none, _), (.rotary, _), (.buckets, _), (.layerBuckets, _): true
        default: false
        }
    }

    /// Returns whether ranks can have their own heads, keys' with the queries' that read them: with positions that act
    /// on each head by itself.
    package func headsAreDivided(among ranks: Int) -> Bool {
        guard keyHeads % ranks == 0, queryHeads % keyHeads == 0, keyValues == .own, queryKeyNorm == nil,
            valueNorm == nil, sinks == .absent, latent == nil
        else { return false }
        return switch positions {
        case .none, .rotary, .buckets, .layerBuckets: true
        case .linearBias, .disentangled: false
        }
    }

    /// The form of one rank's heads.
    fileprivate func divided(among ranks: Int) -> Architecture.Attention {
        var form = self
        (form.queryHeads, form.keyHeads) = (queryHeads / ranks, keyHeads / ranks)
        return form
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
