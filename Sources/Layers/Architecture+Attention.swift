extension Architecture {
    /// Multi-head attention (arXiv:1706.03762): its heads, what they see, and how scores become weights.
    package struct Attention: Sendable, Hashable, Codable {
        package var queryHeads: Int
        /// Key and value heads, fewer than `queryHeads` in grouped-query attention; 1: multi-query.
        package var keyHeads: Int
        package var headWidth: Int
        /// The factor by which scores are multiplied: 1/√headWidth in most; 1 in T5 and GPT-Neo.
        package var scale: Float
        package var reach: Reach
        package var positions: ScorePositions
        package var bias: AttentionBias
        /// A norm over queries and keys: Qwen3, Gemma 3.
        package var queryKeyNorm: Norm?
        /// The span of that norm, and whether it comes before or after rotation.
        package var queryKeyNormSpan = QueryKeyNormSpan.head
        /// The cap of the scores s, which become cap · tanh(s / cap): Gemma 2.
        package var scoreCap: Float?
        /// The growth of queries with their positions: Llama 4, Ministral 3.
        package var queryGrowth: QueryGrowth?
        /// Attention sinks, a number per query head that joins its softmax and stands for no key: gpt-oss
        /// (arXiv:2309.17453).
        package var sinks = Presence.absent
        /// Latent attention, keys and values that pass through a narrow row: DeepSeek-V2.
        package var latent: Latent?
        /// Queries, keys and values are cut off at ± this before positions act on them: OLMo, MPT.
        package var inputLimit: Float?
        /// A norm over each head of the values: Gemma 4.
        package var valueNorm: Norm?
        /// The norm of sums of blocks, where they are seen: LongT5.
        package var sumsNorm: Norm?
        /// True where values are rotated as queries and keys are: RoFormer with `rotary_value`.
        package var valueRotation = Presence.absent
        /// The projections that make keys and values.
        package var keyValues = KeyValueSource.own

        package init(
            queryHeads: Int, keyHeads: Int, headWidth: Int, scale: Float, reach: Reach,
            positions: ScorePositions = .none, bias: AttentionBias = .none, queryKeyNorm: Norm? = nil,
            scoreCap: Float? = nil
        ) {
            (self.queryHeads, self.keyHeads, self.headWidth) = (queryHeads, keyHeads, headWidth)
            (self.scale, self.reach, self.positions, self.bias) = (scale, reach, positions, bias)
            (self.queryKeyNorm, self.scoreCap) = (queryKeyNorm, scoreCap)
        }

        /// True where a KV cache has keys and values of this attention, not those of another layer alone.
        package var keepsKeyValues: Bool { if case .layer = keyValues { false } else { true } }

        package var queryWidth: Int { queryHeads * headWidth }
        package var keyWidth: Int { keyHeads * headWidth }
        /// The width of a head's value, in elements.
        package var valueWidth: Int { latent?.valueWidth ?? headWidth }
    }

    /// The source of an attention's keys and values.
    package enum KeyValueSource: Sendable, Hashable, Codable {
        /// A projection for the keys and one for the values.
        case own
        /// One projection: values are what it gives before keys are normed and rotated (Gemma 4).
        case keysAsValues
        /// The keys and values of an earlier layer, by its index (cross-layer KV sharing: Gemma 4).
        case layer(Int)
    }

    /// Multi-head latent attention (arXiv:2405.04434): keys and values are made of a normed row of `keyValue` elements;
    /// the last `rotated` elements of every key are those that all heads share, and alone are rotated.
    package struct Latent: Sendable, Hashable, Codable {
        /// The row that queries are made of; nil where they are made of the whole.
        package var query: Int?
        package var keyValue: Int
        package var rotated: Int
        package var valueWidth: Int
        /// The norm of the narrow rows.
        package var norm: Norm

        package init(query: Int?, keyValue: Int, rotated: Int, valueWidth: Int, norm: Norm) {
            (self.query, self.keyValue, self.rotated) = (query, keyValue, rotated)
            (self.valueWidth, self.norm) = (valueWidth, norm)
        }
    }

    /// The growth of queries: those at position p are multiplied by 1 + factor · ln(1 + ⌊(p + first) / every⌋).
    package struct QueryGrowth: Sendable, Hashable, Codable {
        package var factor: Float
        package var every: Int
        /// 0 in Ministral 3, 1 in Llama 4.
        package var first: Int
        package init(factor: Float, every: Int, first: Int = 0) {
            (self.factor, self.every, self.first) = (factor, every, first)
        }
    }

    /// The span of a norm of queries and keys, and its place before or after rotation.
    package enum QueryKeyNormSpan: String, Sendable, Hashable, Codable {
        /// Each head by itself, before it is rotated: Qwen3, Gemma 3.
        case head
        /// Each head by itself with weights of its own, before it is rotated: Command R+, StableLM 2 12B.
        case eachHead
        /// Each head by itself, after it was rotated: Hunyuan.
        case rotatedHead
        /// All heads of a row together, before they are rotated: OLMo 2.
        case allHeads
    }

    /// The biases of an attention's four projections: which of them add one.
    package enum AttentionBias: String, Sendable, Hashable, Codable {
        case none, all
        /// Qwen2.
        case queryKeyValue
        /// GPT-Neo.
        case output
        /// DeBERTa v1: a key's bias adds the same to all of a query's scores.
        case allButKey

        /// Returns whether the projection of this role has a bias.
        package func presence(of role: ParameterRole) -> Presence {
            switch self {
            case .none: .absent
            case .all: .present
            case .queryKeyValue: role == .output ? .absent : .present
            case .output: role == .output ? .present : .absent
            case .allButKey: role == .key ? .absent : .present
            }
        }
    }
}
