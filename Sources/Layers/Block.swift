package import MartletTensors

/// The inputs of one layer in one pass beside the residual stream.
package struct LayerInputs: Sendable {
    /// The positions of the pass, as the layer uses them.
    let positions: PassPositions
    /// The encoder's rows that cross-attention reads, where there are any.
    let source: Source?
    /// Per-layer embeddings of all layers, `[rows, layers · width]`, where the model has them.
    let perLayer: Tensor?

    package init(positions: PassPositions, source: Source? = nil, perLayer: Tensor? = nil) {
        (self.positions, self.source, self.perLayer) = (positions, source, perLayer)
    }
}

/// One layer: attention, cross-attention in a decoder that has a source, then feed-forward, each joined to the residual
/// stream as the arrangement says.
///
/// The order stands once, as a list of moves, which a pass, training and a decode step's recording all follow.
package struct Block: Sendable {
    let attention: AttentionLayer
    let cross: AttentionLayer?
    let feedForward: FeedForwardLayer
    let moves: [Move]

    /// True where it has cross-attention.
    package var readsSource: Bool { cross != nil }

    /// A part of the block that reads the residual stream and adds to it. The number is that of its dropout.
    enum Sublayer: Int, Sendable { case attention, cross, feedForward }

    /// A move of a layer on the residual stream x.
    enum Move: Sendable {
        /// x ← norm(x).
        case norm(NormLayer)
        /// x ← x + after(f(before(x))).
        case add(Sublayer, before: NormLayer?, after: NormLayer?)
        /// x ← norm(x + f(x)).
        case addThenNorm(Sublayer, NormLayer)
        /// x ← second(x + first(x + f(x))).
        case addThenNormTwice(Sublayer, first: NormLayer, second: NormLayer)
        /// x ← x + attention(first(x)) + feedForward(second(x)), or both of first(x) where there is no second norm.
        case addBoth(first: NormLayer, second: NormLayer?)
        /// x ← x + norm(project(f(gate(x)) · v)), where v is the layer's part of the per-layer embedding.
        case addPerLayer(PerLayerInput)
        /// The streams are predicted; x ← the active one.
        case predict(AlternatingUpdates)
        /// x ← (x + after(f(n)) + augmented(n)) / √2, where n = before(x).
        case addAugmented(Sublayer, before: NormLayer?, after: NormLayer?, AugmentedResidual)
        /// x ← the streams, corrected by x.
        case correct(AlternatingUpdates)
        /// x ← x · a stored number.
        case scale(Parameter)
    }

    /// The norms around one sublayer; which of them exist follows from the arrangement.
    private struct Norms {
        let before, after: NormLayer?
        /// The norm of a second sum, where attention has one.
        var second: NormLayer?

        init(_ form: Architecture.Layer, width: Int, _ scope: Scope) {
            func norm(_ name: String) -> NormLayer {
                NormLayer(name == "normAfter" ? form.normAfter ?? form.norm : form.norm, width: width, scope[name])
            }
            switch form.arrangement {
            case .before, .beforeFeedForward, .parallelShared, .parallelSeparate, .normedResidual:
                (before, after) = (norm("normBefore"), nil)
            case .after, .afterTwice, .afterSublayer: (before, after) = (nil, norm("normAfter"))
            case .both: (before, after) = (norm("normBefore"), norm("normAfter"))
            }
        }

        /// The move of a sublayer that follows another one.
        func move(_ sublayer: Sublayer, _ arrangement: Architecture.Arrangement) -> Move {
            if let second, let after { return .addThenNormTwice(sublayer, first: after, second: second) }
            if [.after, .afterTwice].contains(arrangement), let after { return .addThenNorm(sublayer, after) }
            return .add(sublayer, before: before, after: after)
        }
    }

    /// - Parameters:
    ///   - sourceWidth: of the rows that cross-attention reads; nil where it is the layer's own.
    ///   - perLayer: the model's per-layer embeddings, where it has any.
    ///   - streams: the stack's residual streams, where it has several.
    package init(
        _ form: Architecture.Layer, width: Int, sourceWidth: Int? = nil,
        perLayer: Architecture.Embedding.PerLayer? = nil, streams: Architecture.Streams? = nil, _ scope: Scope
    ) {
        let bare = form.arrangement == .beforeFeedForward
        var attentionNorms = bare ? nil : Norms(form, width: width, scope["attention"])
        if form.arrangement == .afterTwice {
            attentionNorms?.second = NormLayer(form.norm, width: width, scope["attention"]["secondNorm"])
        }
        attention = AttentionLayer(form.attention, width: width, scope["attention"])
        cross = form.crossAttention.map {
            AttentionLayer(
                $0, width: width, keysOf: .source, sourceWidth: sourceWidth ?? width, scope["crossAttention"])
        }
        let crossNorms = cross.map { _ in Norms(form, width: width, scope["crossAttention"]) }
        let shared = form.arrangement == .parallelShared
        let feedForwardNorms = shared ? nil : Norms(form, width: width, scope["feedForward"])
        feedForward = FeedForwardLayer(of: form, width: width, scope["feedForward"])
        let input = perLayer.map { PerLayerInput($0, norm: form.norm, width: width, scope["perLayer"]) }
        let scale = form.outputScale == .present ? scope.constant("scale", [1], .other, value: 1) : nil
        let plain = Block.moves(form.arrangement, attentionNorms, crossNorms, feedForwardNorms)
        guard let streams else {
            moves = plain + [input.map { .addPerLayer($0) }, scale.map { .scale($0) }].compactMap(\.self)
            return
        }
        let updates = AlternatingUpdates(streams, perLayer: input, norm: form.norm, width: width, scope["streams"])
        let augmented = AugmentedResidual(
            rank: streams.augmentationRank, norm: form.norm, width: width, scope["augmentation"])
        moves =
            [.predict(updates)]
            + plain.map {
                guard case .add(.attention, let before, let after) = $0 else { return $0 }
                return .addAugmented(.attention, before: before, after: after, augmented)
            } + [.correct(updates)]
    }

    private static func moves(
        _ arrangement: Architecture.Arrangement, _ attention: Norms?, _ cross: Norms?, _ feedForward: Norms?
    ) -> [Move] {
        switch arrangement {
        case .before, .beforeFeedForward, .after, .afterTwice, .afterSublayer, .both:
            return [
                attention?.move(.attention, arrangement) ?? .add(.attention, before: nil, after: nil),
                cross?.move(.cross, arrangement),
                feedForward?.move(.feedForward, arrangement),
            ].compactMap(\.self)
        case .normedResidual:
            return [
                attention?.before.map { .norm($0) }, .add(.attention, before: nil, after: nil),
                feedForward?.before.map { .norm($0) }, .add(.feedForward, before: nil, after: nil),
            ].compactMap(\.self)
        case .parallelShared, .parallelSeparate:
            return attention?.before.map { [.addBoth(first: $0, second: feedForward?.before)] } ?? []
        }
    }

    /// `[rows, width]`, or `[rows, streams · width]`, to the same shape; `inputs` is what the pass has for this layer,
    /// `shared` what layers without keys and values of their own read.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, _ inputs: LayerInputs, shared: inout SharedKeyValues,
        _ state: inout some AttentionState
    ) -> Tensor {
        var x = x
        func result(_ sublayer: Sublayer, _ normed: Tensor, _ state: inout some AttentionState) -> Tensor? {
            let y = computed(sublayer, normed, residual: x, rows, layer: layer, inputs, &shared, &state)
            guard let y else { return nil }
            return y.dropped(rows.training?.dropout(layer: layer, sublayer.rawValue))
        }
        var predictions: [Tensor] = []
        for move in moves {
            switch move {
            case .norm(let norm): x = norm(x)
            case .predict(let updates):
                predictions = updates.predicted(x)
                x = predictions[updates.active]
            case .addAugmented(let sublayer, let before, let after, let augmented):
                let normed = before?(x) ?? x
                guard let y = result(sublayer, normed, &state) else { continue }
                x = (x + (after?(y) ?? y) + augmented(normed)) * Float(0.5).squareRoot()
            case .correct(let updates):
                x = updates.corrected(predictions, by: x, inputs.perLayer, layer: layer)
            case .add(let sublayer, let before, let after):
                guard let y = result(sublayer, before?(x) ?? x, &state) else { continue }
                x = x + (after?(y) ?? y)
            case .addThenNorm(let sublayer, let norm):
                guard let y = result(sublayer, x, &state) else { continue }
                x = norm(x, adding: y)
            case .addThenNormTwice(let sublayer, let first, let second):
                guard let y = result(sublayer, x, &state) else { continue }
                x = second(x, adding: first(x, adding: y))
            case .addBoth(let first, let second):
                let normed = first(x)
                guard let attended = result(.attention, normed, &state),
                    let forwarded = result(.feedForward, second?(x) ?? normed, &state)
                else { continue }
                x = x + attended + forwarded
            case .addPerLayer(let input):
                guard let vectors = inputs.perLayer else { continue }
                x = input(x, vectors, layer: layer)
            case .scale(let scale): x = x * (unsafe scale.tensor.floats[0])
            }
        }
        return x
    }

    /// The result of a sublayer; nil for cross-attention where there is nothing to look at.
    private func computed(
        _ sublayer: Sublayer, _ x: Tensor, residual: Tensor, _ rows: Rows, layer: Int, _ inputs: LayerInputs,
        _ shared: inout SharedKeyValues, _ state: inout some AttentionState
    ) -> Tensor? {
        switch sublayer {
        case .attention:
            return attention(x, rows, layer: layer, positions: inputs.positions, shared: &shared, &state)
        case .cross:
            guard let cross, let source = inputs.source else { return nil }
            return cross.across(x, rows, layer: layer, source: source, &state)
        case .feedForward:
            return feedForward(
                x, residual: residual, sequences: rows.sequences, balance: rows.training?.expertBalance ?? 0,
                dropout: rows.training?.activationDropout(layer: layer))
        }
    }
}
