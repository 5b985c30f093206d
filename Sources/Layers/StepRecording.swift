package import MartletTensors

// How layers describe themselves to a step. A layer that has a part which steps do not know says so, and the model runs without.

extension NormLayer {
    package var stepNorm: StepNorm {
        switch self {
        case .layer(let weight, let bias, let epsilon):
            .layer(weight: weight?.tensor, bias: bias?.tensor, epsilon: epsilon)
        case .rms(let weight, let offset, let epsilon):
            .rms(weight: weight.tensor, offset: offset, epsilon: epsilon)
        }
    }
}

extension AttentionLayer {
    /// Nil where steps do not know this kind of attention.
    func stepAttention(rotation: (index: Int, neighbours: Bool)?) -> StepAttention? {
        guard disentangled == nil, global == nil, form.queryGrowth == nil,
            queryNorm == nil || form.queryKeyNormSpan == .head,
            let query = query.stepMatrix, let key = key.stepMatrix,
            let value = value.stepMatrix
        else { return nil }
        var parts = StepAttention(
            keyHeads: form.keyHeads, group: form.queryHeads / form.keyHeads, headWidth: form.headWidth, query: query,
            key: key, value: value, scale: form.scale)
        switch form.reach {
        case .past: break
        case .window(let size): parts.window = size
        case .all, .around, .aroundAndGlobal: return nil
        }
        switch form.positions {
        case .none, .rotary: parts.rotation = rotation
        case .linearBias(.afterScaling): parts.slopes = Architecture.Attention.slopes(heads: form.queryHeads)
        case .linearBias, .buckets, .layerBuckets, .disentangled: return nil
        }
        (parts.queryNorm, parts.keyNorm) = (queryNorm?.stepNorm, keyNorm?.stepNorm)
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
        case .experts: return nil
        }
    }
}

extension AttentionLayer {
    /// Attention to `source`, whose keys and values are computed here; nil where steps do not know this kind.
    func stepAcross(_ source: Source, on device: Device) -> StepCrossAttention? {
        guard let query = query.stepMatrix, case .none = form.positions else { return nil }
        let projected = Linear.together([key, value], source.hidden)
        let shape: Shape = [source.hidden.shape[0], form.keyHeads, form.headWidth]
        return StepCrossAttention(
            keyHeads: form.keyHeads, group: form.queryHeads / form.keyHeads, headWidth: form.headWidth, query: query,
            scale: form.scale, cap: form.scoreCap,
            sources: KeyValueBlocks.filled(
                keys: projected[0].reshaped(shape), values: projected[1].reshaped(shape), rows: source.ranges,
                on: device))
    }
}

extension Block {
    /// Adds this layer to `plan`; what cross-attention reads of `source` is computed here.
    ///
    /// - Returns: false, with the plan of no use, where the layer has a part that steps do not know.
    package func record(
        in plan: StepPlan, rotation: (index: Int, neighbours: Bool)?, source: Source?, on device: Device
    ) -> Bool {
        guard let attend = attention.stepAttention(rotation: rotation), let output = attention.output.stepMatrix,
            let forward = feedForward.stepParts, (cross == nil) == (source == nil)
        else { return false }
        func activate(_ norm: StepNorm?) {
            plan.activate(gate: forward.gate, up: forward.up, forward.activation, norm: norm, for: forward.down)
        }
        let (first, second) = (attentionNorms.before?.stepNorm, feedForwardNorms.before?.stepNorm)
        switch arrangement {
        case .before, .both, .after, .afterSublayer:
            let isAfter = arrangement == .after
            /// Where norms follow sums, they are no part of what is added.
            func join(_ norms: Norms) -> StepNorm? { isAfter ? nil : norms.after?.stepNorm }
            func norm(_ norms: Norms) { if isAfter, let norm = norms.after?.stepNorm { plan.normStream(norm) } }
            plan.attend(attend, norm: first)
            plan.addAttended(output, join: join(attentionNorms))
            norm(attentionNorms)
            if let cross, let source {
                guard let parts = cross.attention.stepAcross(source, on: device),
                    let output = cross.attention.output.stepMatrix
                else { return false }
                plan.attendAcross(parts, norm: cross.norms.before?.stepNorm)
                plan.addAttended(output, join: join(cross.norms))
                norm(cross.norms)
            }
            activate(second)
            plan.addActivated(forward.down, join: join(feedForwardNorms))
            norm(feedForwardNorms)
        case .parallelShared, .parallelSeparate:
            // Both read the stream before either is added to it.
            plan.attend(attend, norm: first)
            activate(arrangement == .parallelShared ? first : second)
            plan.addAttended(output, join: nil)
            plan.addActivated(forward.down, join: nil)
        case .normedResidual: return false
        }
        return true
    }
}

extension StackPositions {
    /// Adds this stack's rotations to `plan`.
    ///
    /// - Returns: for each layer its rotation; nil where a layer's positions are of a kind that steps do not know.
    package func record(in plan: StepPlan) -> (layers: [(index: Int, neighbours: Bool)?], turns: [StepRotation])? {
        var turns: [StepRotation] = []
        var ofKind: [(index: Int, neighbours: Bool)?] = []
        for kind in kinds {
            switch kind {
            case .none: ofKind.append(nil)
            case .rotary(let frequencies, let neighbours):
                let index = plan.addRotation(pairs: frequencies.pairs)
                turns.append(StepRotation(index: index, frequencies: frequencies))
                ofKind.append((index, neighbours))
            case .buckets, .relative: return nil
            }
        }
        return (kindOfLayer.map { ofKind[$0] }, turns)
    }
}

/// One of a plan's rotations and its angles.
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
