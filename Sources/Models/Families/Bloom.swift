import MartletFormats
import MartletLayers
import MartletTensors

/// BLOOM: ALiBi in place of positions, a norm over the token vectors, biases everywhere.
///
/// Source: arXiv:2211.05100. Its checkpoints keep query, key and value in one tensor, head by head.
enum Bloom: Family {
    static let modelTypes = ["bloom"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("n_embed", "hidden_size", default: 64)
        let heads = config.integer("n_head", "num_attention_heads", default: 8)
        let headWidth = config.headWidth(width, heads)
        let layers = config.integer("n_layer", "num_hidden_layers", default: 2, in: ConfigReader.layers)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let parts = config.integer("pretraining_tp", default: 1)
        if config.bool("slow_but_exact", default: false), parts > 1 {
            config.reject(
                "slow_but_exact with pretraining_tp \(parts) leaves out the feed-forward's bias, which is not supported"
            )
        }
        let fromNorm = config.bool("apply_residual_connection_post_layernorm", default: false)
        let layer = Architecture.Layer(
            norm: norm, arrangement: fromNorm ? .normedResidual : .before,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth,
                scale: 1 / Float(headWidth).squareRoot(), reach: .past, positions: .linearBias(.afterScaling),
                bias: .all),
            feedForward: .plain(hidden: 4 * width, .geluTanh, bias: .present))
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 250_880), width: width,
            body: .decoder(
                .init(inputNorm: norm, layers: Array(repeating: layer, count: layers), outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    /// Keys that say how its trainer ran; positions have no limit, so `seq_length` is none.
    static let harmlessKeys = [
        "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "n_inner", "offset_alibi",
        "seq_length", "skip_bias_add", "skip_bias_add_qkv",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body else { return [:] }
        let parts = ["query", "key", "value"].map { "decoder.#.attention.\($0)" }
        let heads = stack.layers.first?.attention.queryHeads ?? 1
        let fused = WeightName("h.#.self_attention.query_key_value", .rows(of: parts, groups: heads))
        return DecoderHeads.older.adding([
            "tokens": "word_embeddings",
            "decoder.inputNorm": "word_embeddings_layernorm",
            "decoder.#.attention.normBefore": "h.#.input_layernorm",
            "decoder.#.attention.query": fused,
            "decoder.#.attention.key": fused,
            "decoder.#.attention.value": fused,
            "decoder.#.attention.output": "h.#.self_attention.dense",
            "decoder.#.feedForward.normBefore": "h.#.post_attention_layernorm",
            "decoder.#.feedForward.up": "h.#.mlp.dense_h_to_4h",
            "decoder.#.feedForward.down": "h.#.mlp.dense_4h_to_h",
            "decoder.outputNorm": "ln_f",
            "head": "lm_head",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.fusedDecoder.adding(["decoder.inputNorm": "token_embd_norm"])
    }
}
