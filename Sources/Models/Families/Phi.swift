import MartletFormats
import MartletLayers
import MartletTensors

/// Phi 1, 1.5 and 2: attention and feed-forward beside each other under one LayerNorm, half of each head rotated, a
/// head with a bias.
///
/// Sources: arXiv:2306.11644, arXiv:2309.05463.
enum Phi: Family {
    static let modelTypes = ["phi"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 2_048)
        let heads = config.integer("num_attention_heads", default: 32)
        let headWidth = config.optionalInteger("head_dim") ?? width / heads
        let context = config.integer("max_position_embeddings", default: 2_048)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-5)))
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: config.optionalInteger("num_key_value_heads") ?? heads, headWidth: headWidth,
            scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context, share: 0.5)), bias: .all,
            queryKeyNorm: config.bool("qk_layernorm", default: false) ? norm : nil)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .parallelShared, attention: attention,
            feedForward: .plain(
                hidden: config.integer("intermediate_size", default: 8_192),
                config.activation("hidden_act", default: .geluTanh), bias: .present))
        var head = config.tokenHead(tied: false)
        head.bias = .present
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 51_200), width: width,
            context: attention.positions.isUnbounded ? nil : context,
            body: .decoder(
                .init(
                    layers: Array(
                        repeating: layer,
                        count: config.integer("num_hidden_layers", default: 24, in: ConfigReader.layers)),
                    outputNorm: norm)),
            head: config.decoderHead(head))
    }

    static let prefixes = Llama.prefixes

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.names.adding([
            "tokens": "embed_tokens",
            "decoder.#.attention.normBefore": "layers.#.input_layernorm",
            "decoder.#.attention.query": "layers.#.self_attn.q_proj",
            "decoder.#.attention.key": "layers.#.self_attn.k_proj",
            "decoder.#.attention.value": "layers.#.self_attn.v_proj",
            "decoder.#.attention.output": "layers.#.self_attn.dense",
            "decoder.#.attention.queryNorm": "layers.#.self_attn.q_layernorm",
            "decoder.#.attention.keyNorm": "layers.#.self_attn.k_layernorm",
            "decoder.#.feedForward.up": "layers.#.mlp.fc1",
            "decoder.#.feedForward.down": "layers.#.mlp.fc2",
            "decoder.outputNorm": "final_layernorm",
            "head": "lm_head",
        ])
    }
}
