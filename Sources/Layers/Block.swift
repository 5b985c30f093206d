package import MartletTensors

/// One layer: attention, then feed-forward, each joined to the residual stream as the arrangement says.
package struct Block: Sendable {
    private let arrangement: Architecture.Arrangement
    private let attention: AttentionLayer
    private let feedForward: FeedForwardLayer
    private let attentionNorms, feedForwardNorms: Norms

    /// The norms around one sublayer; which of them exist follows from the arrangement.
    private struct Norms: Sendable {
        let before, after: NormLayer?

        init(_ form: Architecture.Layer, owner: Bool, width: Int, _ scope: Scope) {
            func norm(_ name: String) -> NormLayer { NormLayer(form.norm, width: width, scope[name]) }
            switch form.arrangement {
            case .before, .parallelSeparate, .normedResidual: (before, after) = (norm("normBefore"), nil)
            case .after: (before, after) = (nil, norm("normAfter"))
            case .both: (before, after) = (norm("normBefore"), norm("normAfter"))
            case .parallelShared: (before, after) = (owner ? norm("normBefore") : nil, nil)
            }
        }

        func before(_ x: Tensor) -> Tensor { before?(x) ?? x }
        func after(_ x: Tensor) -> Tensor { after?(x) ?? x }
    }

    package init(_ form: Architecture.Layer, width: Int, _ scope: Scope) {
        arrangement = form.arrangement
        attentionNorms = Norms(form, owner: true, width: width, scope["attention"])
        attention = AttentionLayer(form.attention, width: width, scope["attention"])
        feedForwardNorms = Norms(form, owner: false, width: width, scope["feedForward"])
        feedForward = FeedForwardLayer(form.feedForward, width: width, scope["feedForward"])
    }

    /// `[rows, width]` to the same shape.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, rotation: RotationTable?, _ state: inout some AttentionState
    ) -> Tensor {
        func attend(_ x: Tensor, _ state: inout some AttentionState) -> Tensor {
            attention(x, rows, layer: layer, rotation: rotation, &state)
        }
        switch arrangement {
        case .before, .both:
            let x = x + attentionNorms.after(attend(attentionNorms.before(x), &state))
            return x + feedForwardNorms.after(feedForward(feedForwardNorms.before(x)))
        case .normedResidual:
            let normed = attentionNorms.before(x)
            let again = feedForwardNorms.before(normed + attend(normed, &state))
            return again + feedForward(again)
        case .after:
            let x = attentionNorms.after(x + attend(x, &state))
            return feedForwardNorms.after(x + feedForward(x))
        case .parallelShared:
            let normed = attentionNorms.before(x)
            return x + attend(normed, &state) + feedForward(normed)
        case .parallelSeparate:
            return x + attend(attentionNorms.before(x), &state) + feedForward(feedForwardNorms.before(x))
        }
    }
}
