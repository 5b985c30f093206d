import MartletFormats
import MartletLayers
import MartletTensors

/// OPT: learned positions from row 2 on, ReLU; its 350M also projects narrower token vectors in and out, and has its
/// norms after the sublayers.
///
/// Source: arXiv:2205.01068.
enum OPT: Family {
    static let modelTypes = ["opt"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let heads = config.integer("num_attention_heads", default: 12)
        let headWidth = config.headWidth(width, heads)
        let context = config.integer("max_position_embeddings", default: 2_048)
        let bias = config.presence("enable_bias", default: true)
        let isFirst = config.bool("do_layer_norm_before", default: true)
        let endsWithoutNorm = config.bool("_remove_final_layer_norm", default: false)
        let isWeighted = config.bool("layer_norm_elementwise_affine", default: true)
        let norm: Architecture.Norm = isWeighted ? .layer(epsilon: 1e-5) : .unweighted(epsilon: 1e-5)
        let tokenWidth = config.optionalInteger("word_embed_proj_dim") ?? width
        let layer = Architecture.Layer(
            norm: norm, arrangement: isFirst ? .before : .after,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth,
                scale: 1 / Float(headWidth).squareRoot(), reach: .past, bias: bias == .present ? .all : .none),
            feedForward: .plain(
                hidden: config.integer("ffn_dim", default: 3_072),
                config.activation("activation_function", default: .relu), bias: bias))
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_272), width: width, context: context,
            embedding: .init(
                factorised: tokenWidth == width
                    ? nil : .init(width: tokenWidth, bias: .absent, order: .projectionThenPositions)),
            body: .decoder(
                .init(
                    positions: .learned(context, offset: 2),
                    layers: Array(
                        repeating: layer,
                        count: config.integer("num_hidden_layers", default: 12, in: ConfigReader.layers)),
                    outputNorm: isFirst && !endsWithoutNorm ? norm : nil)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    static let prefixes = ["model.decoder.", "decoder."]

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.names.adding([
            "tokens": "embed_tokens",
            "decoder.positions": "embed_positions",
            "decoder.projection": "project_in",
            "decoder.#.attention.normBefore": "layers.#.self_attn_layer_norm",
            "decoder.#.attention.normAfter": "layers.#.self_attn_layer_norm",
            "decoder.#.attention.query": "layers.#.self_attn.q_proj",
            "decoder.#.attention.key": "layers.#.self_attn.k_proj",
            "decoder.#.attention.value": "layers.#.self_attn.v_proj",
            "decoder.#.attention.output": "layers.#.self_attn.out_proj",
            "decoder.#.feedForward.normBefore": "layers.#.final_layer_norm",
            "decoder.#.feedForward.normAfter": "layers.#.final_layer_norm",
            "decoder.#.feedForward.up": "layers.#.fc1",
            "decoder.#.feedForward.down": "layers.#.fc2",
            "decoder.outputNorm": "final_layer_norm",
            "head.narrowing": "project_out",
            "head": "lm_head",
        ])
    }
}
