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
                plan.addToStream(addend, factor: Float(0.5).squareRoot())
            case .correct(let updates):
                guard let streams = place.streams else { return false }
                updates.recordCorrection(in: plan, streams, place.perLayer, layer: place.layer)
            case .addPerLayer(let input):
                guard let vectors = place.perLayer else { continue }
                guard input.record(in: plan, vectors, layer: place.layer) else { return false }
            case .scale(let scale): plan.scaleStream(unsafe scale.tensor.floats[0])
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
    package func record(in plan: StepPlan, on device: Device) -> (
        layers: [StepPositions], rotations: [StepRotation]
    )? {
        var rotations: [StepRotation] = []
        var ofKind: [StepPositions] = []
        for kind in kinds {
            switch kind {
            case .none: ofKind.append(.none)
            case .rotary(let frequencies, let neighbours):
                let index = plan.addRotation(pairs: frequencies.pairs)
                rotations.append(StepRotation(index: index, frequencies: frequencies))
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
        return (kindOfLayer.map { ofKind[$0] }, rotations)
    }
}

/// A rotation of a plan, and its angles.
package struct StepRotation: Sendable {
    let index: Int
    let frequencies: RotaryFrequencies

    /// The angles of a row at `position` of a sequence that reaches `extent`.
    package func set(row: Int, position: Int, extent: Int, in plan: StepPlan) {
        let place = unsafe plan.rotation(index, row: row)
        unsafe frequencies.writeAngles(
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
