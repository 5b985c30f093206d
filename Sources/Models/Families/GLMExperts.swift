import MartletFormats
import MartletLayers
import MartletTensors

/// GLM-4.5 and its successors: half of each head rotated, DeepSeek-V3's experts behind a few dense layers.
///
/// Source: arXiv:2508.06471.
enum GLMExperts: Family {
    static let modelTypes = ["glm4_moe"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 151_552, hidden: 10_944, layers: 46, heads: 96, context: 131_072, keyHeads: 8,
                epsilon: 1e-5, share: 0.5, biasKey: nil, inputBiasKey: "attention_bias"))
        if config.bool("use_qk_norm", default: false) { model.layer.attention.queryKeyNorm = model.norm }
        var defaults = DeepSeek.ExpertDefaults()
        (defaults.count, defaults.hidden, defaults.groups, defaults.activeGroups) = (128, 1_408, 1, 1)
        defaults.factor = 1
        let experts = DeepSeek.thirdExperts(config, defaults)
        let dense = config.integer("first_k_dense_replace", default: 1, in: 0...Int(Int32.max))
        return model.architecture { index, layer in
            if index >= dense { layer.feedForward = .experts(experts) }
        }
    }

    static let harmlessKeys = DeepSeek.harmlessKeys
    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(FusedExperts.oneByOne())
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture)).adding([
            "decoder.#.feedForward.normBefore": "blk.#.post_attention_norm"
        ])
    }
}
