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
}
