import MartletFormats
import MartletLayers
import MartletTensors

/// The Transformer of 2017 (arXiv:1706.03762): our own configuration and our own names, so that it can be trained and
/// saved.
///
/// One vocabulary for both sides with one table, which is also the head; or `target_vocab_size` and a table for each
/// side.
enum Transformer: Family {
    static let modelTypes = ["transformer"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("d_model", default: 512)
        let heads = config.integer("num_heads", default: 8)
        let headWidth = config.headWidth(width, heads)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-6)))
        let isBefore = config.choice("norm_placement", of: ["after": false, "before": true], default: false)
        if width % 2 != 0 { config.reject("a width of \(width) cannot hold pairs of sines and cosines") }
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, bias: .all)
        let encoder = Architecture.Layer(
            norm: norm, arrangement: isBefore ? .before : .after, attention: attention,
            feedForward: .plain(
                hidden: config.integer("d_ff", default: 2_048), config.activation("activation", default: .relu),
                bias: .present))
        var decoder = encoder
        decoder.attention.reach = .past
        decoder.crossAttention = attention
        let positions = Architecture.InputPositions.sinusoidal(
            .init(order: .neighbours, denominator: Float(width) / 2))
        func stack(_ layer: Architecture.Layer, _ key: String) -> Architecture.Stack {
            .init(
                positions: positions,
                layers: Array(repeating: layer, count: config.integer(key, default: 6, in: ConfigReader.layers)),
                outputNorm: isBefore ? norm : nil)
        }
        return Architecture(
            vocabulary: config.integer("vocab_size"), width: width,
            embedding: .init(
                scale: Float(width).squareRoot(), targetVocabulary: config.optionalInteger("target_vocab_size")),
            body: .encoderDecoder(stack(encoder, "encoder_layers"), stack(decoder, "decoder_layers")),
            head: .tokens(.init(weights: config.bool("tie_word_embeddings", default: true) ? .tied : .own)))
    }

    static let harmlessKeys = ["is_encoder_decoder"]

    static func names(_ architecture: Architecture) -> WeightNames { .ours }
}
