import MartletFormats
import MartletLayers
import MartletTensors

/// GLM-4 in both of transformers' spellings: neighbouring pairs of half of each head rotated, biases on queries, keys
/// and values, gate and up in one matrix; `glm4` has norms on both sides of each sublayer.
///
/// Source: arXiv:2406.12793.
enum GLM: Family {
    static let modelTypes = ["glm", "glm4"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 151_552, hidden: 13_696, layers: 40, context: 131_072, keyHeads: 2, headWidth: 128,
                epsilon: 1.5625e-7, share: 0.5, biasKey: nil, inputBiasKey: "attention_bias", biased: true))
        model.turnNeighbours()
        if config.string("model_type") == "glm4" { model.layer.arrangement = .both }
        return model.architecture()
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        let fused = WeightName(
            "layers.#.mlp.gate_up_proj", .rows(of: ["gate", "up"].map { "decoder.#.feedForward.\($0)" }))
        return Llama.names(architecture).adding([
            "decoder.#.feedForward.gate": fused,
            "decoder.#.feedForward.up": fused,
            "decoder.#.attention.normAfter": "layers.#.post_self_attn_layernorm",
            "decoder.#.feedForward.normAfter": "layers.#.post_mlp_layernorm",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        let fused = WeightName("blk.#.ffn_up", .rows(of: ["gate", "up"].map { "decoder.#.feedForward.\($0)" }))
        return GGUFNames.decoder.adding(GGUFNames.normsAfter).adding([
            "decoder.#.feedForward.gate": fused,
            "decoder.#.feedForward.up": fused,
        ])
    }
}
