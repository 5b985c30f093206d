import MartletTensors

extension AttentionLayer {
    /// Adds queries, keys and values of norm(x), and attention, to a decode step.
    ///
    /// - Returns: false where steps do not know this kind.
    func record(in plan: StepPlan, _ positions: StepPositions, _ place: StepPlace, norm: StepNorm?) -> Bool {
        guard disentangled == nil, global == nil, var parts = stepAttention(positions, cache: place.cache) else {
            return false
        }
        if isPrepared { return recordPrepared(in: plan, parts, positions, norm: norm) }
        guard let query = query.stepMatrix, let key = key?.stepMatrix, let value = value?.stepMatrix else {
            return false
        }
        if case .rotation(let index, let neighbours) = positions { parts.rotation = (index, neighbours) }
        (parts.queryNorm, parts.keyNorm) = (queryNorm?.stepNorm, keyNorm?.stepNorm)
        parts.headWeights = (queryNorm?.stepHeadWeights, keyNorm?.stepHeadWeights)
        plan.attend(parts, query: query, key: key, value: value, norm: norm)
        return true
    }

    /// True where queries, keys and values are made ready before the phase of attention, which otherwise norms and
    /// rotates heads itself.
    private var isPrepared: Bool {
        latent != nil || form.queryGrowth != nil || valueNorm != nil || form.valueRotation == .present
            || form.inputLimit != nil || form.keyValues != .own
            || queryNorm != nil && ![.head, .eachHead].contains(form.queryKeyNormSpan)
    }

    /// The scores of a decode step's attention; nil where steps do not know them.
    private func stepAttention(_ positions: StepPositions, cache: (table: Int, offset: Int)) -> StepAttention? {
        var parts = StepAttention(
            keyHeads: form.keyHeads, group: form.queryHeads / form.keyHeads, headWidth: form.headWidth,
            valueWidth: form.valueWidth, scale: form.scale, cache: cache)
        switch form.reach {
        case .past, .window, .chunk: break
        case .all, .around, .aroundAndGlobal, .aroundAndSums: return nil
        }
        switch form.positions {
        case .linearBias(.afterScaling): parts.slopes = Architecture.Attention.slopes(heads: form.queryHeads)
        case .none, .rotary, .linearBias(.beforeScaling), .linearBias(.bothWays), .buckets, .layerBuckets: break
        case .disentangled: return nil
        }
        if case .bias(let bias) = positions { parts.bias = bias }
        (parts.cap, parts.sinks) = (form.scoreCap, sinks?.tensor)
        return parts
    }

    /// Adds attention whose queries, keys and values are made ready by the operations of a pass.
    private func recordPrepared(
        in plan: StepPlan, _ parts: StepAttention, _ positions: StepPositions, norm: StepNorm?
    ) -> Bool {
        guard let projected = latent.map({ $0.record(in: plan, norm: norm) }) ?? projections(in: plan, norm: norm)
        else { return false }
        let query = plan.rows(.madeQuery, width: form.queryWidth)
        let own: (key: StepRows, value: StepRows)? =
            form.keepsKeyValues
            ? (
                plan.rows(.madeKey, width: form.keyWidth),
                plan.rows(.madeValue, width: form.keyHeads * form.valueWidth)
            ) : nil
        plan.compute { [unowned plan] rows in
            let products = projected.map { $0.tensor(rows, on: plan.serial) }
            var (q, made) = made(of: products)
            if case .rotation(let index, let neighbours) = positions {
                rotate(&q, &made, by: plan.rotationTable(index, rows: rows), neighbours: neighbours)
            }
            finish(&q, &made, positions: Array(plan.positions.prefix(rows)))
            query.set(q)
            if let own, let made {
                own.key.set(made.key)
                own.value.set(made.value)
            }
        }
        plan.attend(parts, query: query, own: own)
        return true
    }

    private func made(of products: [Tensor]) -> (query: Tensor, own: KeyValues?) {
        guard let latent else { return shaped(products) }
        let heads = latent.heads(query: products[0], down: products[1], up: products[2])
        return (heads.query, (heads.key, heads.value))
    }

    /// Adds the products of norm(x) with the projections that there are.
    private func projections(in plan: StepPlan, norm: StepNorm?) -> [StepRows]? {
        let parts: [(Linear?, StepPlan.Buffer)] = [(query, .query), (key, .key), (value, .value)]
        var matrices: [(matrix: StepMatrix, into: StepPlan.Buffer)] = []
        for case (let linear?, let name) in parts {
            guard let matrix = linear.stepMatrix else { return nil }
            matrices.append((matrix, name))
        }
        return plan.multiply(matrices, norm: norm)
    }

    /// Attention to an encoder's output; nil where steps do not know this kind.
    func stepAcross(cache: (table: Int, offset: Int)) -> StepCrossAttention? {
        guard let query = query.stepMatrix, case .none = form.positions else { return nil }
        return StepCrossAttention(
            keyHeads: form.keyHeads, group: form.queryHeads / form.keyHeads, headWidth: form.headWidth, query: query,
            scale: form.scale, cap: form.scoreCap, cache: cache)
    }

    /// The keys and values of an encoder's output `[rows, width]`, `[rows, keyHeads, headWidth]` each.
    func keysAndValues(of output: Tensor) -> (keys: Tensor, values: Tensor) {
        let projected = together([key, value].compactMap(\.self), output).map {
            $0.reshaped([output.shape[0], ownForm.keyHeads, form.headWidth])
        }
        return (projected[0], projected[projected.count - 1])
    }
}

extension LatentProjections {
    /// Adds the products of norm(x) to a decode step.
    ///
    /// - Returns: the queries, the narrow row, and what keys and values are made of; nil where steps do not know the
    ///   matrices.
    func record(in plan: StepPlan, norm: StepNorm?) -> [StepRows]? {
        guard let query = query.stepMatrix, let down = keyValueDown.stepMatrix, let up = keyValueUp.stepMatrix else {
            return nil
        }
        let narrow = queryDown?.stepMatrix
        guard (narrow == nil) == (queryDown == nil) else { return nil }
        let first = plan.multiply(
            [narrow.map { ($0, .narrowQuery) } ?? (query, .query), (down, .narrowKeyValue)], norm: norm)
        let normed = plan.rows(.normedKeyValue, width: up.matrix.inputs)
        plan.compute { [unowned plan] rows in
            if narrow != nil, let queryNorm { first[0].set(queryNorm(first[0].tensor(rows, on: plan.serial))) }
            normed.set(self.normed(first[1].tensor(rows, on: plan.serial)))
        }
        let queries = narrow == nil ? first[0] : plan.multiply([(query, .query)], of: first[0])[0]
        return [queries, first[1], plan.multiply([(up, .wideKeyValue)], of: normed)[0]]
    }
}
