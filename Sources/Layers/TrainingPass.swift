package import MartletTensors

/// What a pass adds when it trains: random zeros, a loss that balances experts, and whether layers are computed again
/// in place of being kept.
package struct TrainingPass: Sendable {
    package enum Recomputation: Sendable { case none, byLayer }

    /// The share of elements that become zero where a sublayer joins the residual stream, and after the input.
    package var dropout: Float
    /// The share of attention's weights that become zero.
    package var attentionDropout: Float = 0
    /// The share of a feed-forward's inner elements that become zero.
    package var activationDropout: Float = 0
    /// Of dropout: one value for each pass of a run. The same seed gives the same zeros.
    package var seed: UInt64
    package var expertBalance: Float
    package var recomputation: Recomputation
    /// Which stack this pass is for: an encoder-decoder's two have random numbers of their own.
    package var stack = 0

    package init(
        dropout: Float = 0, seed: UInt64 = 0, expertBalance: Float = 0, recomputation: Recomputation = .none
    ) {
        (self.dropout, self.seed) = (dropout, seed)
        (self.expertBalance, self.recomputation) = (expertBalance, recomputation)
    }

    /// The random numbers of a place: layer −1 is the input.
    package func dropout(layer: Int, _ site: Int) -> Dropout? { dropout(dropout, layer, site) }

    /// Those of a layer's attention, or cross-attention.
    package func attentionDropout(layer: Int, across: Bool) -> Dropout? {
        dropout(attentionDropout, layer, across ? 4 : 3)
    }

    package func activationDropout(layer: Int) -> Dropout? { dropout(activationDropout, layer, 5) }

    private func dropout(_ share: Float, _ layer: Int, _ site: Int) -> Dropout? {
        guard share > 0 else { return nil }
        return Dropout(share: share, seed: seed, stream: UInt64(stack << 32 | (layer + 1) << 4 | site))
    }
}

extension Block {
    /// The block without what it keeps for gradients, which the backward pass makes again.
    package func recomputed(
        _ x: Tensor, _ rows: Rows, layer: Int, _ inputs: LayerInputs
    ) -> Tensor {
        Tensor.recomputed(from: [x, inputs.positions.learned, inputs.source?.hidden, inputs.perLayer]) {
            var (state, shared) = (Uncached(), SharedKeyValues([]))
            return self(x, rows, layer: layer, inputs, shared: &shared, &state)
        }
    }
}
