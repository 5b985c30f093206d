import MartletFormats
import MartletLayers
import MartletTensors

/// MPNet: BERT's layers with T5's bucketed distances beside learned positions, and no segments.
///
/// Source: arXiv:2004.09297. The buckets are 32 up to a distance of 128, whatever the configuration says of their
/// table.
enum MPNet: Family {
    static let modelTypes = ["mpnet"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let positions = config.integer("max_position_embeddings", default: 512)
        // The padding's own two rows come first.
        if positions <= 2 { config.reject("\(positions) positions leave none after the padding's 2") }
        let context = max(1, positions - 2)
        if config.integer("relative_attention_num_buckets", default: 32) != 32 {
            config.reject("relative_attention_num_buckets is not 32, which the model computes with")
        }
        var layers = config.bertLayers(width: width, norm: norm)
        for index in layers.indices { layers[index].attention.positions = .buckets(32, farthest: 128) }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_527), width: width, context: context,
            embedding: .init(tokenWithoutPosition: 1),
            body: .encoder(.init(positions: .learned(context, offset: 2), inputNorm: norm, layers: layers)),
            head: RoBERTa.head(config, width: width, norm: norm))
    }

    static let prefixes = ["mpnet.", ""]
    static let unprefixed = RoBERTa.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        BERTNames.encoder.adding(RoBERTa.heads).adding([
            "encoder.distances": "encoder.relative_attention_bias",
            "encoder.#.attention.query": "encoder.layer.#.attention.attn.q",
            "encoder.#.attention.key": "encoder.layer.#.attention.attn.k",
            "encoder.#.attention.value": "encoder.layer.#.attention.attn.v",
            "encoder.#.attention.output": "encoder.layer.#.attention.attn.o",
            "encoder.#.attention.normAfter": "encoder.layer.#.attention.LayerNorm",
        ])
    }

    static let unused = RoBERTa.unused
}
