package import MartletTensors

/// What an attention layer hands to the attention state: projections of the pass's rows, and what is added to the
/// scores.
package struct AttentionInputs: Sendable {
    /// `[rows, queryHeads, headWidth]`.
    package let query: Tensor
    /// `[rows, keyHeads, headWidth]`.
    package let key: Tensor
    package let value: Tensor
    package let bias: ScoreBias?
    /// Nil where no row of the pass sees all and is seen by all.
    package let global: GlobalAttention?

    package init(query: Tensor, key: Tensor, value: Tensor, bias: ScoreBias? = nil, global: GlobalAttention? = nil) {
        (self.query, self.key, self.value, self.bias, self.global) = (query, key, value, bias, global)
    }
}

/// What is added to the scores of a pass.
package enum ScoreBias: Sendable {
    /// By the distance of key and query (T5).
    case distances(DistanceBias)
    /// By content too (DeBERTa): for each sequence of the pass `[heads, rows, keys]`.
    case pairs([Tensor])
    /// By nothing at all: a number per query head, which stands for no key (gpt-oss).
    case sinks(Tensor)
}

/// The encoder's rows that a decoder's cross-attention reads.
package struct Source: Sendable {
    /// `[sourceRows, width]`.
    package let hidden: Tensor
    /// For each sequence of a decoder's pass, the rows of its source.
    package let ranges: [Range<Int>]

    package init(hidden: Tensor, ranges: [Range<Int>]) { (self.hidden, self.ranges) = (hidden, ranges) }

    /// The same rows for a pass whose sequence i reads what sequence `indices[i]` read.
    package func selecting(_ indices: [Int]) -> Source { Source(hidden: hidden, ranges: indices.map { ranges[$0] }) }
}
