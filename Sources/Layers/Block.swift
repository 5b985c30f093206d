package import MartletTensors

/// One layer: attention, cross-attention in a decoder that has a source, then feed-forward, each joined to the residual stream as the
/// arrangement says.
package struct Block: Sendable {
    let arrangement: Architecture.Arrangement
    let attention: AttentionLayer
    let cross: (attention: AttentionLayer, norms: Norms)?
    let feedForward: FeedForwardLayer
    let attentionNorms, feedForwardNorms: Norms

    /// The norms around one sublayer; which of them exist follows from the arrangement.
    struct Norms: Sendable {
        let before, after: NormLayer?

        init(_ form: Architecture.Layer, owner: Bool, width: Int, _ scope: Scope) {
            func norm(_ name: String) -> NormLayer { NormLayer(form.norm, width: width, scope[name]) }
            switch form.arrangement {
            case .before, .parallelSeparate, .normedResidual: (before, after) = (norm("normBefore"), nil)
            case .after, .afterSublayer: (before, after) = (nil, norm("normAfter"))
            case .both: (before, after) = (norm("normBefore"), norm("normAfter"))
            case .parallelShared: (before, after) = (owner ? norm("normBefore") : nil, nil)
            }
        }

        func before(_ x: Tensor) -> Tensor { before?(x) ?? x }
        func after(_ x: Tensor) -> Tensor { after?(x) ?? x }
        /// norm(x + y).
        func after(_ x: Tensor, adding y: Tensor) -> Tensor { after?(x, adding: y) ?? x + y }
    }

    package init(_ form: Architecture.Layer, width: Int, _ scope: Scope) {
        arrangement = form.arrangement
        attentionNorms = Norms(form, owner: true, width: width, scope["attention"])
        attention = AttentionLayer(form.attention, width: width, scope["attention"])
        cross = form.crossAttention.map { cross in
            let scope = scope["crossAttention"]
            let norms = Norms(form, owner: true, width: width, scope)
            return (AttentionLayer(cross, width: width, keysOf: .source, scope), norms)
        }
        feedForwardNorms = Norms(form, owner: false, width: width, scope["feedForward"])
        feedForward = FeedForwardLayer(form.feedForward, width: width, scope["feedForward"])
    }

    /// `[rows, width]` to the same shape; `source` is what cross-attention reads, where there is any.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, positions: PassPositions, source: Source?,
        _ state: inout some AttentionState
    ) -> Tensor {
        func dropped(_ x: Tensor, _ site: Int) -> Tensor { x.dropped(rows.training?.dropout(layer: layer, site)) }
        func attend(_ x: Tensor, _ state: inout some AttentionState) -> Tensor {
            dropped(attention(x, rows, layer: layer, positions: positions, &state), 0)
        }
        func feedForward(_ x: Tensor) -> Tensor {
            let inner = rows.training?.activationDropout(layer: layer)
            return dropped(self.feedForward(x, balance: rows.training?.expertBalance ?? 0, dropout: inner), 2)
        }
        switch arrangement {
        case .before, .both, .afterSublayer:
            var x = x + attentionNorms.after(attend(attentionNorms.before(x), &state))
            if let cross, let source {
                let attended = cross.attention.across(cross.norms.before(x), rows, layer: layer, source: source, &state)
                x = x + cross.norms.after(dropped(attended, 1))
            }
            return x + feedForwardNorms.after(feedForward(feedForwardNorms.before(x)))
        case .normedResidual:
            let normed = attentionNorms.before(x)
            let again = feedForwardNorms.before(normed + attend(normed, &state))
            return again + feedForward(again)
        case .after:
            var x = attentionNorms.after(x, adding: attend(x, &state))
            if let cross, let source {
                let attended = cross.attention.across(x, rows, layer: layer, source: source, &state)
                x = cross.norms.after(x, adding: dropped(attended, 1))
            }
            return feedForwardNorms.after(x, adding: feedForward(x))
        case .parallelShared:
            let normed = attentionNorms.before(x)
            return x + attend(normed, &state) + feedForward(normed)
        case .parallelSeparate:
            return x + attend(attentionNorms.before(x), &state) + feedForward(feedForwardNorms.before(x))
        }
    }
}
