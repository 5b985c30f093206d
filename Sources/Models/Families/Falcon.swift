import MartletFormats
import MartletLayers
import MartletTensors

/// Falcon: the 7B (one key head, one norm for attention and feed-forward beside each other), the 40B and later ("new
/// decoder architecture": grouped key heads, a norm for each), and Falcon-RW (one after the other, ALiBi).
///
/// Source: arXiv:2311.16867. Its checkpoints keep query, key and value in one tensor, key head by key head.
enum Falcon: Family {
    static let modelTypes = ["falcon"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("n_embed", "hidden_size", default: 4_544)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let bias = config.presence("bias", default: false)
        let context = config.integer("max_position_embeddings", default: 2_048)
        let attention = attention(config, width: width, bias: bias, context: context)
        let layer = Architecture.Layer(
            norm: norm, arrangement: arrangement(config), attention: attention,
            feedForward: .plain(
                hidden: config.optionalInteger("ffn_hidden_size") ?? 4 * width,
                config.activation("activation", default: .gelu), bias: bias))
        // The reference reads the older name nowhere once the newer one is there.
        let isOlder = config.has("n_layer") && !config.has("num_hidden_layers")
        if !isOlder { config.ignore("n_layer") }
        let layers = config.integer(
            isOlder ? "n_layer" : "num_hidden_layers", default: 32, in: ConfigReader.layers)
        var isLimited = false
        if case .rotary = attention.positions { isLimited = !attention.positions.isUnbounded }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 65_024), width: width, context: isLimited ? context : nil,
            body: .decoder(
                .init(
                    layers: Array(
                        repeating: layer,
                        count: layers),
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    private static func attention(
        _ config: ConfigReader, width: Int, bias: Architecture.Presence, context: Int
    ) -> Architecture.Attention {
        let heads = config.integer("num_attention_heads", "n_head", default: 71)
        let headWidth = config.headWidth(width, heads)
        let given = config.optionalInteger("num_kv_heads", "n_head_kv") ?? heads
        let isOne =
            config.bool("multi_query", default: true) && !config.bool("new_decoder_architecture", default: false)
        let rotary = config.rotary(headWidth: headWidth, context: context)
        return Architecture.Attention(
            queryHeads: heads, keyHeads: isOne ? 1 : given, headWidth: headWidth,
            scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: config.bool("alibi", default: false) ? .linearBias(.beforeScaling) : .rotary(rotary),
            bias: bias == .present ? .all : .none)
    }

    private static func arrangement(_ config: ConfigReader) -> Architecture.Arrangement {
        let isNew = config.bool("new_decoder_architecture", default: false)
        let isParallel = config.bool("parallel_attn", default: true)
        let norms = config.integer("num_ln_in_parallel_attn", default: isNew ? 2 : 1, in: 1...2)
        guard isNew ? isParallel : norms == 1 else {
            config.reject(
                "there is no model with new_decoder_architecture \(isNew), parallel_attn \(isParallel) and "
                    + "num_ln_in_parallel_attn \(norms)")
            return .before
        }
        guard isParallel else { return .before }
        return norms == 2 ? .parallelSeparate : .parallelShared
    }

    /// The reference never looks at them.
    static let harmlessKeys = ["apply_residual_connection_post_layernorm", "ff_factor"]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, let layer = stack.layers.first else { return [:] }
        let parts = ["query", "key", "value"].map { "decoder.#.attention.\($0)" }
        let fused = WeightName("h.#.self_attention.query_key_value", .rows(of: parts, groups: layer.attention.keyHeads))
        let isSeparate = layer.arrangement == .parallelSeparate
        return DecoderHeads.older.adding([
            "tokens": "word_embeddings",
            "decoder.#.attention.normBefore": isSeparate ? "h.#.ln_attn" : "h.#.input_layernorm",
            "decoder.#.attention.query": fused,
            "decoder.#.attention.key": fused,
            "decoder.#.attention.value": fused,
            "decoder.#.attention.output": "h.#.self_attention.dense",
            "decoder.#.feedForward.normBefore": isSeparate ? "h.#.ln_mlp" : "h.#.post_attention_layernorm",
            "decoder.#.feedForward.up": "h.#.mlp.dense_h_to_4h",
            "decoder.#.feedForward.down": "h.#.mlp.dense_4h_to_h",
            "decoder.outputNorm": "ln_f",
            "head": "lm_head",
        ])
    }

    /// The names in GGUF. With two norms, it calls the feed-forward's `attn_norm` and the attention's `attn_norm_2`.
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, stack.layers.first?.arrangement == .parallelSeparate else {
            return GGUFNames.fusedDecoder
        }
        return GGUFNames.fusedDecoder.adding([
            "decoder.#.attention.normBefore": "blk.#.attn_norm_2",
            "decoder.#.feedForward.normBefore": "blk.#.attn_norm",
        ])
    }
}
