package import MartletLayers
import MartletTensors

/// Small descriptions for tests that need a model but no file.
package enum TinyArchitectures {
    package static func decoder(
        vocabulary: Int = 61, width: Int = 48, layers: Int = 3, queryHeads: Int = 4, keyHeads: Int = 2,
        headWidth: Int = 10,
        context: Int? = 1_200, reach: Architecture.Reach = .past, positions: Architecture.ScorePositions? = nil,
        arrangement: Architecture.Arrangement = .before, feedForward: Architecture.FeedForward? = nil
    ) -> Architecture {
        let norm = Architecture.Norm.rms(epsilon: 1e-5)
        let attention = Architecture.Attention(
            queryHeads: queryHeads, keyHeads: keyHeads, headWidth: headWidth, scale: 0.3, reach: reach,
            positions: positions ?? .rotary(.init(width: headWidth, base: 10_000)))
        let layer = Architecture.Layer(
            norm: norm, arrangement: arrangement, attention: attention,
            feedForward: feedForward ?? .gated(hidden: 70, .silu, bias: .absent))
        return Architecture(
            vocabulary: vocabulary, width: width, context: context,
            body: .decoder(.init(layers: Array(repeating: layer, count: layers), outputNorm: norm)),
            head: .tokens(.init(weights: .tied)))
    }

    /// An encoder-decoder with a table and a head that both sides share.
    package static func translator(
        vocabulary: Int = 61, width: Int = 48, layers: Int = 2, heads: Int = 3, headWidth: Int = 10,
        context: Int? = 1_200, positions: Architecture.InputPositions? = nil,
        arrangement: Architecture.Arrangement = .after, feedForward: Architecture.FeedForward? = nil
    ) -> Architecture {
        let norm = Architecture.Norm.layer(epsilon: 1e-5)
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 0.3, reach: .all, bias: .all)
        let encoder = Architecture.Layer(
            norm: norm, arrangement: arrangement, attention: attention,
            feedForward: feedForward ?? .plain(hidden: 70, .relu, bias: .present))
        var decoder = encoder
        decoder.attention.reach = .past
        decoder.crossAttention = attention
        func stack(_ layer: Architecture.Layer) -> Architecture.Stack {
            .init(
                positions: positions ?? .sinusoidal(.init(order: .halves, denominator: Float(width) / 2)),
                layers: Array(repeating: layer, count: layers), outputNorm: arrangement == .after ? nil : norm)
        }
        return Architecture(
            vocabulary: vocabulary, width: width, context: context, embedding: .init(scale: 2),
            body: .encoderDecoder(stack(encoder), stack(decoder)), head: .tokens(.init(weights: .tied, bias: .present)))
    }
}
