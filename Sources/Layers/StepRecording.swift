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
    /// The attention for a decode step; nil where steps do not know this kind.
    func stepAttention(_ positions: StepPositions, cache: (table: Int, offset: Int)) -> StepAttention? {
        guard disentangled == nil, global == nil, latent == nil, sinks == nil, form.queryGrowth == nil,
            valueNorm == nil, form.valueRotation == .absent, form.inputLimit == nil,
            queryNorm == nil || [.head, .eachHead].contains(form.queryKeyNormSpan),
            let query = query.stepMatrix, let key = key?.stepMatrix, let value = value?.stepMatrix
        else { return nil }
        var parts = StepAttention(
            keyHeads: form.keyHeads, group: form.queryHeads / form.keyHeads, headWidth: form.headWidth, query: query,
            key: key, value: value, scale: form.scale, cache: cache)
        switch form.reach {
        case .past, .window: break
        case .all, .chunk, .around, .aroundAndGlobal, .aroundAndSums: return nil
        }
        switch form.positions {
        case .linearBias(.afterScaling): parts.slopes = Architecture.Attention.slopes(heads: form.queryHeads)
        case .none, .rotary, .linearBias(.beforeScaling), .buckets, .layerBuckets: break
        case .disentangled: return nil
        }
        switch positions {
        case .none: break
        case .rotation(let index, let neighbours): parts.rotation = (index, neighbours)
        case .bias(let bias): parts.bias = bias
        }
        (parts.queryNorm, parts.keyNorm) = (queryNorm?.stepNorm, keyNorm?.stepNorm)
        parts.headWeights = (queryNorm?.stepHeadWeights, keyNorm?.stepHeadWeights)
        parts.cap = form.scoreCap
        return parts
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
    /// The matrices of a gated one.
    var gatedStepParts: (gate: StepMatrix, up: StepMatrix, down: StepMatrix)? {
        guard let parts = stepParts, let gate = parts.gate else { return nil }
        return (gate, parts.up, parts.down)
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
        let projected = Linear.together([key, value].compactMap(\.self), output).map {
            $0.reshaped([output.shape[0], form.keyHeads, form.headWidth])
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

    package init(cache: (table: Int, offset: Int), source: (table: Int, offset: Int)?) {
        (self.cache, self.source) = (cache, source)
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
            case .addPerLayer, .scale, .predict, .addAugmented, .correct: return false
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
        case .attention:
            guard let parts = attention.stepAttention(positions, cache: place.cache) else { return false }
            plan.attend(parts, norm: norm?.stepNorm)
        case .cross:
            guard let source = place.source, let parts = cross?.stepAcross(cache: source) else { return false }
            plan.attendAcross(parts, norm: norm?.stepNorm)
        case .feedForward:
            if case .experts(let experts) = feedForward {
                guard let parts = experts.stepExperts else { return false }
                plan.route(parts, norm: norm?.stepNorm)
                break
            }
            guard let parts = feedForward.stepParts else { return false }
            plan.activate(
                gate: parts.gate, up: parts.up, parts.activation, norm: norm?.stepNorm, for: parts.down)
        }
        return true
    }

    /// A sublayer's last product, joined to the stream.
    private func end(_ sublayer: Sublayer, join: NormLayer?, in plan: StepPlan) -> Bool {
        switch sublayer {
        case .attention, .cross:
            guard let output = (sublayer == .cross ? cross : attention)?.output.stepMatrix else { return false }
            plan.addAttended(output, join: join?.stepNorm)
        case .feedForward:
            if case .experts = feedForward {
                plan.addExperts(join: join?.stepNorm)
                break
            }
            guard let parts = feedForward.stepParts else { return false }
            plan.addActivated(parts.down, join: join?.stepNorm)
        }
        return true
    }

    /// The keys and values that cross-attention has of an encoder's output; nil in a layer without.
    package func sourceKeysAndValues(of output: Tensor) -> (keys: Tensor, values: Tensor)? {
        cross?.keysAndValues(of: output)
    }

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
            case .relative, .bucketsAndSums: return nil
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
