import MartletFormats
import MartletLayers
import MartletTensors

/// StarCoder and SantaCoder: GPT-2 with one key-value head (arXiv:2301.03988, arXiv:2305.06161).
enum GPTBigCode: Family {
    static let modelTypes = ["gpt_bigcode"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("n_embd", "hidden_size", default: 768)
        let heads = config.integer("n_head", "num_attention_heads", default: 12)
        let context = config.integer("n_positions", "max_position_embeddings", default: 1_024)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let headWidth = config.headWidth(width, heads)
        let isScaled = config.bool("scale_attn_weights", default: true)
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: config.bool("multi_query", default: true) ? 1 : heads, headWidth: headWidth,
            scale: isScaled ? 1 / Float(headWidth).squareRoot() : 1, reach: .past, bias: .all)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention,
            feedForward: .plain(
                hidden: config.optionalInteger("n_inner") ?? 4 * width,
                config.activation("activation_function", default: .geluTanh), bias: .present))
        let layers = config.integer("n_layer", "num_hidden_layers", default: 12, in: ConfigReader.layers)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_257), width: width, context: context,
            body: .decoder(
                .init(
                    positions: .learned(context), layers: Array(repeating: layer, count: layers), outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    /// Keys that say how the reference computes a softmax, which code it chooses, and what its summary head makes.
    static let harmlessKeys = [
        "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "validate_runner_input",
        "max_batch_size", "max_sequence_length", "pad_key_length", "pre_allocate_kv_cache", "num_key_value_heads",
        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, let form = stack.layers.first?.attention else { return [:] }
        // With a key for each head, the three of a head stand together.
        let groups = form.keyHeads == 1 ? 1 : form.keyHeads
        return DecoderHeads.older.adding(.fusedAttention("h.#.attn.c_attn", groups: groups)).adding([
            "tokens": "wte",
            "decoder.positions": "wpe",
            "decoder.#.attention.normBefore": "h.#.ln_1",
            "decoder.#.attention.output": "h.#.attn.c_proj",
            "decoder.#.feedForward.normBefore": "h.#.ln_2",
            "decoder.#.feedForward.up": "h.#.mlp.c_fc",
            "decoder.#.feedForward.down": "h.#.mlp.c_proj",
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
