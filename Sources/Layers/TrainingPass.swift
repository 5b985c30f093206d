package import MartletTensors

/// The additions of a training pass: dropout, a loss that balances experts, and whether layers are computed again in
/// place of being kept.
package struct TrainingPass: Sendable {
    /// Gradient checkpointing: none, or each layer computed once more in the backward pass (arXiv:1604.06174).
    package enum Recomputation: Sendable { case none, byLayer }

    /// The dropout of the residual stream, the share of elements that become zero where a sublayer joins the residual
    /// stream, and after the input.
    package var dropout: Float
    /// The dropout of attention's weights, the share of them that become zero.
    package var attentionDropout: Float = 0
    /// The dropout of a feed-forward's inner elements, the share of them that become zero.
    package var activationDropout: Float = 0
    /// The seed of dropout: one value for each pass of a run. The same seed gives the same zeros.
    package var seed: UInt64
    package var expertBalance: Float
    package var recomputation: Recomputation
    /// The stack that this pass is for: an encoder-decoder's two have random numbers of their own.
    package var stack = 0
    /// The heads of an attention that are here, where ranks divide them.
    package var heads: Dropout.HeadPlace?
    /// The number of the first row that is here, where ranks divide those of a pass.
    package var firstRow = 0

    package init(
        dropout: Float = 0, seed: UInt64 = 0, expertBalance: Float = 0, recomputation: Recomputation = .none
    ) {
        (self.dropout, self.seed) = (dropout, seed)
        (self.expertBalance, self.recomputation) = (expertBalance, recomputation)
    }

    /// The random numbers of a place: layer −1 is the input.
    package func dropout(layer: Int, _ site: Int) -> Dropout? { ofRows(dropout(dropout, layer, site)) }

    /// The dropout of the weights of a layer's attention, or cross-attention.
    package func attentionDropout(layer: Int, across: Bool) -> Dropout? {
        var dropout = dropout(attentionDropout, layer, across ? 4 : 3)
        dropout?.heads = heads
        return dropout
    }

    package func activationDropout(layer: Int) -> Dropout? { ofRows(dropout(activationDropout, layer, 5)) }

    private func ofRows(_ dropout: Dropout?) -> Dropout? {
        var dropout = dropout
        dropout?.firstRow = firstRow
        return dropout
    }

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
