import MartletFormats
import MartletLayers
import MartletTensors

/// GPT-2: learned positions, pre-LayerNorm, biases everywhere, tanh GELU, a tied head.
///
/// Source: Radford et al. 2019, "Language models are unsupervised multitask learners". Its checkpoints keep `[inputs,
/// outputs]`, and query, key and value in one tensor.
enum GPT2: Family {
    static let modelTypes = ["gpt2"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("n_embd", "hidden_size", default: 768)
        let heads = config.integer("n_head", "num_attention_heads", default: 12)
        let layers = config.integer("n_layer", "num_hidden_layers", default: 12, in: ConfigReader.layers)
        let context = config.integer("n_positions", "max_position_embeddings", default: 1_024)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let headWidth = config.headWidth(width, heads)
        let scaled = config.bool("scale_attn_weights", default: true)
        let byDepth = config.bool("scale_attn_by_inverse_layer_idx", default: false)
        let feedForward = Architecture.FeedForward.plain(
            hidden: config.optionalInteger("n_inner") ?? 4 * width,
            config.activation("activation_function", default: .geluTanh), bias: .present)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_257), width: width, context: context,
            body: .decoder(
                .init(
                    positions: .learned(context),
                    layers: (0..<layers).map { layer in
                        let scale = (scaled ? 1 / Float(headWidth).squareRoot() : 1) / (byDepth ? Float(layer + 1) : 1)
                        return .init(
                            norm: norm, arrangement: .before,
                            attention: .init(
                                queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: scale, reach: .past,
                                bias: .all),
                            feedForward: feedForward)
                    },
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    /// `n_ctx` repeats `n_positions`; upcasting is what f32 does anyway; the summary belongs to another head.
    static let harmlessKeys = [
        "n_ctx", "reorder_and_upcast_attn", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
        "summary_type", "summary_use_proj",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        let parts = ["query", "key", "value"].map { "decoder.#.attention.\($0)" }
        let fused = WeightName("h.#.attn.c_attn", .transposedRows(of: parts))
        return DecoderHeads.older.adding([
            "tokens": "wte",
            "decoder.positions": "wpe",
            "decoder.#.attention.normBefore": "h.#.ln_1",
            "decoder.#.attention.query": fused,
            "decoder.#.attention.key": fused,
            "decoder.#.attention.value": fused,
            "decoder.#.attention.output": WeightName("h.#.attn.c_proj", .transposed),
            "decoder.#.feedForward.normBefore": "h.#.ln_2",
            "decoder.#.feedForward.up": WeightName("h.#.mlp.c_fc", .transposed),
            "decoder.#.feedForward.down": WeightName("h.#.mlp.c_proj", .transposed),
            "decoder.outputNorm": "ln_f",
            "head": "lm_head",
        ])
    }

    /// The causal mask that older exports carry.
    static let unused = ["h.#.attn.bias", "h.#.attn.masked_bias"]

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.fusedDecoder.adding(["decoder.positions": "position_embd"])
    }
}
