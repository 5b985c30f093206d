import MartletFormats
import MartletLayers
import MartletTensors

/// StableLM 2: LayerNorm, a quarter of each head rotated, gated feed-forwards; in the 12B model beside the attention,
/// and a norm for each head of queries and keys.
///
/// Source: arXiv:2402.17834.
enum StableLM: Family {
    static let modelTypes = ["stablelm"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 50_304, width: 2_560, hidden: 6_912, context: 4_096, epsilon: 1e-5,
                epsilonKey: "layer_norm_eps", share: 0.25, biasKey: nil, inputBiasKey: "use_qkv_bias")
        ) { .layer(epsilon: $0) }
        if config.bool("use_parallel_residual", default: false) { model.layer.arrangement = .parallelShared }
        if config.bool("qk_layernorm", default: false) {
            model.layer.attention.queryKeyNorm = .layerWithoutBias(epsilon: model.norm.epsilon)
            model.layer.attention.queryKeyNormSpan = .eachHead
        }
        return model.architecture()
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.attention.queryNorm.##": "layers.#.self_attn.q_layernorm.norms.##",
            "decoder.#.attention.keyNorm.##": "layers.#.self_attn.k_layernorm.norms.##",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.headNorms(architecture))
    }
}
