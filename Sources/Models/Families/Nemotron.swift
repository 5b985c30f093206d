import MartletFormats
import MartletLayers
import MartletTensors

/// Nemotron-4 and Minitron: LayerNorm whose weights are stored less 1, a squared ReLU without a gate, half of each head
/// rotated (arXiv:2402.16819).
enum Nemotron: Family {
    static let modelTypes = ["nemotron"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 256_000, width: 6_144, hidden: 24_576, heads: 48, context: 4_096,
                epsilon: 1e-5, epsilonKey: "norm_eps", share: 0.5, activation: .reluSquared,
                feedForwardBiasKey: "mlp_bias")
        ) { .layer(epsilon: $0) }
        model.removeGate()
        return model.architecture()
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        func norm(_ name: String) -> WeightName { WeightName(name, .plus(-1)) }
        return Llama.names(architecture).adding([
            "decoder.#.attention.normBefore.weight": norm("layers.#.input_layernorm.weight"),
            "decoder.#.feedForward.normBefore.weight": norm("layers.#.post_attention_layernorm.weight"),
            "decoder.outputNorm.weight": norm("norm.weight"),
        ])
    }
}
