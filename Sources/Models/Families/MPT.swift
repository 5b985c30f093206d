import MartletFormats
import MartletLayers
import MartletTensors

/// MPT: ALiBi, LayerNorm without bias, no biases at all, query, key and value in one matrix.
///
/// Source: MosaicML's configurations and the reference's code, which reads fewer settings than those have.
enum MPT: Family {
    static let modelTypes = ["mpt"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("d_model", default: 2_048)
        let heads = config.integer("n_heads", default: 16)
        let norm = Architecture.Norm.layerWithoutBias(
            epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let headWidth = config.headWidth(width, heads)
        var scale = 1 / Float(headWidth).squareRoot()
        var limit: Float?
        if let form = config.optionalObject("attn_config") { limit = readAttention(form, &scale) }
        var attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: scale, reach: .past,
            positions: .linearBias(.afterScaling))
        attention.inputLimit = limit
        let layer = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention,
            // The reference computes with 4 whatever the ratio says.
            feedForward: .plain(hidden: 4 * width, .gelu, bias: .absent))
        let layers = config.integer("n_layers", default: 24, in: ConfigReader.layers)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_368), width: width,
            context: config.integer("max_seq_len", default: 2_048),
            body: .decoder(.init(layers: Array(repeating: layer, count: layers), outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    /// The bound at which queries, keys and values are clipped, and the scale of scores where it is stated.
    private static func readAttention(_ form: ConfigReader, _ scale: inout Float) -> Float? {
        if let own = form.optionalNumber("softmax_scale", in: 1e-6...1e6) { scale = Float(own) }
        if form.integer("alibi_bias_max", default: 8) != 8 { form.reject("alibi_bias_max must be 8") }
        // The reference looks at none of these.
        form.ignore(
            "alibi", "attn_impl", "attn_pdrop", "attn_type", "attn_uses_sequence_id", "model_type", "prefix_lm",
            "qk_ln",
            "rope", "rope_impl", "rope_theta", "rope_dail_config", "rope_hf_config", "sliding_window_size", "qk_gn",
            "_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "id2label", "is_encoder_decoder",
            "label2id", "output_attentions", "output_hidden_states", "problem_type", "return_dict", "torch_dtype",
            "transformers_version", "kv_n_heads")
        let limit = form.optionalNumber("clip_qkv", in: 0...1e9) ?? 0
        return limit > 0 ? Float(limit) : nil
    }

    /// The reference looks at none of these.
    static let harmlessKeys = [
        "expansion_ratio", "no_bias", "norm_type", "learned_pos_emb", "embedding_fraction", "init_device",
        "init_config",
        "logit_scale", "emb_pdrop", "resid_pdrop", "attn_pdrop", "tokenizer_name", "verbose", "fc_type", "ffn_config",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.older.adding(.fusedAttention("blocks.#.attn.Wqkv")).adding([
            "tokens": "wte",
            "decoder.#.attention.normBefore": "blocks.#.norm_1",
            "decoder.#.attention.output": "blocks.#.attn.out_proj",
            "decoder.#.feedForward.normBefore": "blocks.#.norm_2",
            "decoder.#.feedForward.up": "blocks.#.ffn.up_proj",
            "decoder.#.feedForward.down": "blocks.#.ffn.down_proj",
            "decoder.outputNorm": "norm_f",
            "head": "lm_head",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames { GGUFNames.fusedDecoder }
}
