package import MartletTensors

// How layers describe themselves to a step. A layer that has a part which steps do not know says so, and the model runs
// without.

extension NormLayer {
    package var stepNorm: StepNorm {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            .layer(weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms(let weight, let offset, let epsilon):
            .rms(weight: weight.tensor, offset: offset, epsilon: epsilon)
        case .heads(_, let epsilon): .layer(weight: nil, bias: nil, epsilon: epsilon)
        }
    }

    /// The weights by which a step multiplies heads behind the norm, `[heads · width]`; nil where there are none.
    var stepHeadWeights: Tensor? {
        if case .heads(let weights, _) = self { Tensor.joined(rowsOf: weights.map(\.tensor)) } else { nil }
    }
}

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

extension FeedForwardLayer {
    /// The matrices of a plain or gated one.
    var stepParts: (gate: StepMatrix?, up: StepMatrix, down: StepMatrix, activation: Activation)? {
        switch self {
        case .plain(let up, let activation, let down):
            guard let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (nil, up, down, activation)
        case .gated(let gate, let activation, let up, let down):
            guard let gate = gate.stepMatrix, let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (gate, up, down, activation)
        case .sparse, .clamped, .expandedIntegral, .experts: return nil
        }
    }
}

extension FeedForwardLayer {
    /// The matrices of one of a mixture's experts, which may have a limit.
    var expertStepParts: (gate: StepMatrix?, up: StepMatrix, down: StepMatrix)? {
        if case .clamped(let gate, _, _, let up, let down) = self {
            guard let gate = gate.stepMatrix, let up = up.stepMatrix, let down = down.stepMatrix else { return nil }
            return (gate, up, down)
        }
        return stepParts.map { ($0.gate, $0.up, $0.down) }
    }

    /// Adds norm(x) through the feed-forward to a decode step, but for its last product; false where steps do not know
    /// it.
    func begin(in plan: StepPlan, norm: StepNorm?) -> Bool {
        switch self {
        case .experts(let experts): return experts.begin(in: plan, norm: norm)
        case .expandedIntegral(let up, let activation, _):
            guard let up = up.stepMatrix else { return false }
            let rows = plan.multiply([(up, .activated)], norm: norm)[0]
            plan.compute { [unowned plan] count in rows.set(activation(rows.tensor(count, on: plan.serial))) }
        case .plain, .gated, .clamped:
            guard let parts = stepParts else { return false }
            plan.activate(gate: parts.gate, up: parts.up, parts.activation, norm: norm, for: parts.down)
        case .sparse(let gate, let activation, let deviations, let up, _):
            guard let gate = gate.stepMatrix, let up = up.stepMatrix else { return false }
            let made = plan.multiply([(gate, .gate), (up, .activated)], norm: norm)
            plan.compute { [unowned plan] rows in
                let (gate, up) = (made[0].tensor(rows, on: plan.serial), made[1].tensor(rows, on: plan.serial))
                made[1].set(gate.sparsified(deviations: deviations).gating(up, activation))
            }
        }
        return true
    }

    /// Adds the last product, joined to the stream.
    func end(in plan: StepPlan, join: StepNorm?) -> Bool {
        switch self {
        case .experts(let experts): experts.end(in: plan, join: join)
        case .expandedIntegral(_, _, let down), .sparse(_, _, _, _, let down):
            guard let down = down.stepMatrix else { return false }
            plan.addProduct(down, of: plan.rows(.activated, width: down.matrix.inputs), join: join)
        case .plain, .gated, .clamped:
            guard let parts = stepParts else { return false }
            plan.addActivated(parts.down, join: join)
        }
        return true
    }
}

extension AttentionLayer {
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

/// The position encoding of one layer's attention in a decode step.
package enum StepPositions {
    case none
    case rotation(index: Int, neighbours: Bool)
    case bias(StepBias)
}

/// The place of one layer's keys and values in a plan: the table, and bytes of its blocks before the layer.
package struct StepPlace {
    package let cache: (table: Int, offset: Int)
    /// The place of the encoder's keys and values, which cross-attention reads.
    package let source: (table: Int, offset: Int)?
    /// The number of the layer, and per-layer embeddings of all layers, where the model has them.
    package let layer: Int
    package let perLayer: StepRows?
    /// The residual streams, where there are several.
    package let streams: StepRows?

    package init(
        cache: (table: Int, offset: Int), source: (table: Int, offset: Int)?, layer: Int, perLayer: StepRows?,
        streams: StepRows?
    ) {
        (self.cache, self.source, self.layer, self.perLayer) = (cache, source, layer, perLayer)
        self.streams = streams
    }
}

extension Block {
    /// Adds this layer's moves to `plan`.
    ///
    /// - Returns: false, with the plan of no use, where the layer has a part that steps do not know.
    package func record(in plan: StepPlan, _ positions: StepPositions, _ place: StepPlace) -> Bool {
        for move in moves {
            switch move {
            case .norm(let norm): plan.normStream(norm.stepNorm)
            case .add(let sublayer, let before, let after):
                guard begin(sublayer, norm: before, in: plan, positions, place),
                    end(sublayer, join: after, in: plan)
                else { return false }
            case .addThenNorm(let sublayer, let norm):
                guard begin(sublayer, norm: nil, in: plan, positions, place), end(sublayer, join: nil, in: plan) else {
                    return false
                }
                plan.normStream(norm.stepNorm)
            case .addThenNormTwice: return false
            case .predict(let updates):
                guard let streams = place.streams else { return false }
                updates.recordPrediction(in: plan, streams)
            case .addAugmented(let sublayer, let before, let after, let augmented):
                guard let addend = augmented.record(in: plan, before: before),
                    begin(sublayer, norm: before, in: plan, positions, place),
                    end(sublayer, join: after, in: plan)
                else { return false }
                plan.compute { [unowned plan] rows in
                    let sum = plan.stream.tensor(rows, on: plan.serial) + addend.tensor(rows, on: plan.serial)
                    plan.stream.set(sum * Float(0.5).squareRoot())
                }
            case .correct(let updates):
                guard let streams = place.streams else { return false }
                updates.recordCorrection(in: plan, streams, place.perLayer, layer: place.layer)
            case .addPerLayer(let input):
                guard let vectors = place.perLayer else { continue }
                guard input.record(in: plan, vectors, layer: place.layer) else { return false }
            case .scale(let scale):
                let factor = unsafe scale.tensor.floats[0]
                plan.compute { [unowned plan] rows in
                    plan.stream.set(plan.stream.tensor(rows, on: plan.serial) * factor)
                }
            case .addBoth(let first, let second):
                // Both read the stream before either is added to it.
                guard begin(.attention, norm: first, in: plan, positions, place),
                    begin(.feedForward, norm: second ?? first, in: plan, positions, place),
                    end(.attention, join: nil, in: plan), end(.feedForward, join: nil, in: plan)
                else { return false }
            }
        }
        return true
    }

    /// Adds the phases of a sublayer of norm(x), but for its last product.
    private func begin(
        _ sublayer: Sublayer, norm: NormLayer?, in plan: StepPlan, _ positions: StepPositions, _ place: StepPlace
    ) -> Bool {
        switch sublayer {
        case .attention: return attention.record(in: plan, positions, place, norm: norm?.stepNorm)
        case .cross:
            guard let source = place.source, let parts = cross?.stepAcross(cache: source) else { return false }
            plan.attendAcross(parts, norm: norm?.stepNorm)
            return true
        case .feedForward: return feedForward.begin(in: plan, norm: norm?.stepNorm)
        }
    }

    /// A sublayer's last product, joined to the stream.
    private func end(_ sublayer: Sublayer, join: NormLayer?, in plan: StepPlan) -> Bool {
        switch sublayer {
        case .attention, .cross:
            guard let output = (sublayer == .cross ? cross : attention)?.output.stepMatrix else { return false }
            plan.addAttended(output, join: join?.stepNorm)
            return true
        case .feedForward: return feedForward.end(in: plan, join: join?.stepNorm)
        }
    }

    /// The keys and values that cross-attention has of an encoder's output; nil in a layer without.
    package func sourceKeysAndValues(of output: Tensor) -> (keys: Tensor, values: Tensor)? {
        cross?.keysAndValues(of: output)
    }

    /// The size of the chunks that this layer's attention keeps to; nil where it sees all of the past, or a window.
    package var chunk: Int? { if case .chunk(let size) = attention.form.reach { size } else { nil } }

    /// The bias of this layer's scores by positions of keys alone; nil where there is no such thing.
    package var keyBias: (form: Architecture.Attention, bias: StepBias)? {
        guard case .linearBias(.beforeScaling) = attention.form.positions else { return nil }
        let form = attention.form
        return (form, StepBias { (form.roundedBias(keys: $0), nil) })
    }
}

extension StackPositions {
    /// Adds this stack's rotations to `plan`.
    ///
    /// - Returns: for each layer what positions do there; nil where they are of a kind that steps do not know.
    package func record(in plan: StepPlan, on device: Device) -> (layers: [StepPositions], turns: [StepRotation])? {
        var turns: [StepRotation] = []
        var ofKind: [StepPositions] = []
        for kind in kinds {
            switch kind {
            case .none: ofKind.append(.none)
            case .rotary(let frequencies, let neighbours):
                let index = plan.addRotation(pairs: frequencies.pairs)
                turns.append(StepRotation(index: index, frequencies: frequencies))
                ofKind.append(.rotation(index: index, neighbours: neighbours))
            case .buckets(let buckets):
                ofKind.append(
                    .bias(
                        StepBias { positions in
                            let bias = buckets(longest: positions, on: device)
                            return (bias.values, bias.zero)
                        }))
            case .relative, .slopes, .bucketsAndSums: return nil
            }
        }
        return (kindOfLayer.map { ofKind[$0] }, turns)
    }
}

/// A rotation of a plan, and its angles.
package struct StepRotation: Sendable {
    let index: Int
    let frequencies: RotaryFrequencies

    /// The angles of a row at `position` of a sequence that reaches `extent`.
    package func set(row: Int, position: Int, extent: Int, in plan: StepPlan) {
        let place = unsafe plan.rotation(index, row: row)
        unsafe frequencies.turn(
            frequencies.frequencies(forExtent: extent), position: Int32(clamping: position), cosines: place.cosines,
            sines: place.sines)
    }
}

extension TokenTable {
    /// Writes the vector of `id`, times `scale`, to `target`.
    package func write(_ id: Int32, scale: Float = 1, to target: UnsafeMutablePointer<Float>) {
        unsafe weight.tensor.decodeRow(Int(id), scale: scale, to: target)
    }
}
