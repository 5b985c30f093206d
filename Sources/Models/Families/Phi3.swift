import MartletFormats
import MartletLayers
import MartletTensors

/// Phi-3 and Phi-4: Llama's layers with fused projections, LongRoPE for long contexts.
///
/// Source: arXiv:2404.14219.
enum Phi3: Family {
    static let modelTypes = ["phi3"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 3_072)
        let heads = config.integer("num_attention_heads", default: 32)
        let headWidth = config.optionalInteger("head_dim") ?? width / heads
        let context = config.integer("max_position_embeddings", default: 4_096)
        let trained = config.integer("original_max_position_embeddings", default: 4_096)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-5)))
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: config.optionalInteger("num_key_value_heads") ?? heads, headWidth: headWidth,
            scale: 1 / Float(headWidth).squareRoot(),
            reach: config.optionalInteger("sliding_window").map { .window($0) } ?? .past,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context, trained: trained, share: 1)))
        let layer = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention,
            feedForward: .gated(
                hidden: config.integer("intermediate_size", default: 8_192),
                config.activation("hidden_act", default: .silu), bias: .absent))
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 32_064), width: width, context: context,
            body: .decoder(
                .init(
                    layers: Array(
                        repeating: layer,
                        count: config.integer("num_hidden_layers", default: 32, in: ConfigReader.layers)),
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: false)))
    }

    /// Published configurations say more than the reference reads.
    static let harmlessKeys = ["attention_bias", "full_attn_mod", "interpolate_factor", "lm_head_bias", "mlp_bias"]

    static let prefixes = Llama.prefixes

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(
            fused(attention: "layers.#.self_attn.qkv_proj", feedForward: "layers.#.mlp.gate_up_proj"))
    }

    private static func fused(attention: String, feedForward: String) -> WeightNames {
        let attention = WeightName(
            attention, .rows(of: ["query", "key", "value"].map { "decoder.#.attention.\($0)" }))
        let feedForward = WeightName(feedForward, .rows(of: ["gate", "up"].map { "decoder.#.feedForward.\($0)" }))
        return [
            "decoder.#.attention.query": attention,
            "decoder.#.attention.key": attention,
            "decoder.#.attention.value": attention,
            "decoder.#.feedForward.gate": feedForward,
            "decoder.#.feedForward.up": feedForward,
        ]
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(fused(attention: "blk.#.attn_qkv", feedForward: "blk.#.ffn_up"))
    }
}
