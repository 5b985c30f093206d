import MartletFormats
import MartletLayers
import MartletTensors

/// StarCoder 2: LayerNorm, rotary positions, plain feed-forwards with biases, in the smaller models a window
/// (arXiv:2402.19173).
enum StarCoder2: Family {
    static let modelTypes = ["starcoder2"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 49_152, width: 3_072, hidden: 12_288, layers: 30, heads: 24, context: 4_096, keyHeads: 2,
                epsilon: 1e-5, epsilonKey: "norm_epsilon", activation: .geluTanh, biasKey: "use_bias",
                feedForwardBiasKey: "use_bias", biased: true, tied: true)
        ) { .layer(epsilon: $0) }
        model.removeGate()
        if let window = config.optionalInteger("sliding_window") { model.layer.attention.reach = .window(window) }
        return model.architecture()
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.feedForward.up": "layers.#.mlp.c_fc",
            "decoder.#.feedForward.down": "layers.#.mlp.c_proj",
        ])
    }
}
