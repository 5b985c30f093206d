package import MartletTensors

/// The inputs of attention that a layer hands to the attention state: projections of the pass's rows, and what is added
/// to the scores.
package struct AttentionInputs: Sendable {
    /// The queries, `[rows, queryHeads, headWidth]`.
    package let query: Tensor
    /// The keys, `[rows, keyHeads, headWidth]`.
    package let key: Tensor
    package let value: Tensor
    package let bias: ScoreBias?
    /// Longformer's global attention; nil where no row of the pass sees all and is seen by all.
    package let global: GlobalAttention?
    /// The sums of blocks that rows see beside their window; nil where there are none.
    let sums: BlockSums?

    package init(
        query: Tensor, key: Tensor, value: Tensor, bias: ScoreBias? = nil, global: GlobalAttention? = nil,
        sums: BlockSums? = nil
    ) {
        (self.query, self.key, self.value, self.bias, self.global) = (query, key, value, bias, global)
        self.sums = sums
    }
}

/// The bias of attention scores in a pass.
package enum ScoreBias: Sendable {
    /// A bias by the distance of key and query (T5).
    case distances(DistanceBias)
    /// A bias by content too (DeBERTa): for each sequence of the pass `[heads, rows, keys]`.
    case pairs([Tensor])
    /// Attention sinks, a bias by nothing at all: a number per query head, which stands for no key (gpt-oss).
    case sinks(Tensor)
}

/// The encoder's rows that a decoder's cross-attention reads.
package struct Source: Sendable {
    /// The encoder's last hidden states, `[sourceRows, width]`.
    package let hidden: Tensor
    /// The rows of its source for each sequence of a decoder's pass.
    package let ranges: [Range<Int>]

    package init(hidden: Tensor, ranges: [Range<Int>]) { (self.hidden, self.ranges) = (hidden, ranges) }

    /// The rows of a source for a pass whose sequence i reads what sequence `indices[i]` read.
    package func selecting(_ indices: [Int]) -> Source { Source(hidden: hidden, ranges: indices.map { ranges[$0] }) }
}
