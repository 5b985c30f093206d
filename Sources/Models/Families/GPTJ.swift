import MartletFormats
import MartletLayers
import MartletTensors

/// GPT-J: attention and feed-forward beside each other under one LayerNorm, neighbouring pairs rotated, a head with a
/// bias.
///
/// Source: Wang and Komatsuzaki 2021, "GPT-J-6B: a 6 billion parameter autoregressive language model".
enum GPTJ: Family {
    static let modelTypes = ["gptj"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("n_embd", "hidden_size", default: 4_096)
        let heads = config.integer("n_head", "num_attention_heads", default: 16)
        let headWidth = config.headWidth(width, heads)
        let layers = config.integer("n_layer", "num_hidden_layers", default: 28, in: ConfigReader.layers)
        let context = config.integer("n_positions", "max_position_embeddings", default: 2_048)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let rotated = config.integer("rotary_dim", default: 64)
        if rotated % 2 != 0 { config.reject("rotary_dim is \(rotated), but elements are turned in pairs") }
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth,
            scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: .rotary(.init(width: rotated, base: 10_000, pairing: .neighbours)))
        let layer = Architecture.Layer(
            norm: norm, arrangement: .parallelShared, attention: attention,
            feedForward: .plain(
                hidden: config.optionalInteger("n_inner") ?? 4 * width,
                config.activation("activation_function", default: .geluTanh), bias: .present))
        var head = config.tokenHead(tied: false)
        head.bias = .present
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_400), width: width, context: context,
            body: .decoder(.init(layers: Array(repeating: layer, count: layers), outputNorm: norm)),
            head: config.decoderHead(head))
    }

    /// The reference rotates and scales whatever `rotary` and `scale_attn_weights` say; the summary belongs to another
    /// head.
    static let harmlessKeys = [
        "n_ctx", "rotary", "scale_attn_weights", "summary_activation", "summary_first_dropout",
        "summary_proj_to_labels", "summary_type", "summary_use_proj", "gradient_checkpointing",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.names.adding([
            "tokens": "wte",
            "decoder.#.attention.normBefore": "h.#.ln_1",
            "decoder.#.attention.query": "h.#.attn.q_proj",
            "decoder.#.attention.key": "h.#.attn.k_proj",
            "decoder.#.attention.value": "h.#.attn.v_proj",
            "decoder.#.attention.output": "h.#.attn.out_proj",
            "decoder.#.feedForward.up": "h.#.mlp.fc_in",
            "decoder.#.feedForward.down": "h.#.mlp.fc_out",
            "decoder.outputNorm": "ln_f",
            "head": "lm_head",
        ])
    }

    /// The causal mask that older exports carry.
    static let unused = ["h.#.attn.bias", "h.#.attn.masked_bias"]
}
