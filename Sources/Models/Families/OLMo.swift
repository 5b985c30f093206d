import MartletFormats
import MartletLayers
import MartletTensors

/// OLMo 1 to 3 and OLMoE. OLMo: norms without weights. From OLMo 2 on norms behind the sublayers, and one over all
/// heads of queries and of keys; OLMo 3 slides in three of four layers. OLMoE: pre-norms, that same norm of queries and
/// keys, experts as they are weighed.
///
/// Sources: arXiv:2402.00838 (OLMo), arXiv:2501.00656 (OLMo 2), arXiv:2409.02060 (OLMoE).
enum OLMo: Family {
    static let modelTypes = ["olmo", "olmo2", "olmo3", "olmoe"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        switch config.string("model_type") {
        case "olmo": olmo(config)
        case "olmoe": mixture(config)
        case let modelType: olmo2(config, isThird: modelType == "olmo3")
        }
    }

    private static func olmo(_ config: ConfigReader) -> Architecture {
        // The reference's epsilon is no setting.
        var model = LlamaLike(config, .init(vocabulary: 50_304)) { _ in .unweighted(epsilon: 1e-5) }
        model.layer.attention.inputLimit = clipping(config)
        return model.architecture()
    }

    private static func clipping(_ config: ConfigReader) -> Float? {
        config.optionalNumber("clip_qkv", in: 1e-6...1e9).map { Float($0) }
    }

    private static func olmo2(_ config: ConfigReader, isThird: Bool) -> Architecture {
        var windowed: Architecture.Rotary?
        var model = LlamaLike(
            config, .init(vocabulary: 50_304, epsilon: 1e-5),
            rotary: isThird
                ? { headWidth, context in
                    let rotaries = rotaries(config, headWidth: headWidth, context: context)
                    windowed = rotaries.window
                    return rotaries.whole
                } : nil)
        model.layer.arrangement = .afterSublayer
        model.layer.attention.queryKeyNorm = model.norm
        model.layer.attention.queryKeyNormSpan = .allHeads
        guard isThird else { return model.architecture() }
        let window = config.integer(orNull: "sliding_window", absent: 4_096)
        let sliding = model.sliding(allBut: 4)
        return model.architecture { index, layer in
            guard sliding[index], let window, let windowed else { return }
            layer.attention.positions = .rotary(windowed)
            layer.attention.reach = .window(window)
        }
    }

    /// The rotary positions of whole texts and of windows. Where they are not spelled apart, only what sees the whole
    /// text is stretched, and the base of windows is no setting.
    private static func rotaries(
        _ config: ConfigReader, headWidth: Int, context: Int
    ) -> (whole: Architecture.Rotary, window: Architecture.Rotary) {
        let base = config.number("rope_theta", default: 500_000, in: 1...1e30)
        let nested = config.optionalObject("rope_parameters")
        func rotary(_ reader: ConfigReader?, base: Double) -> Architecture.Rotary {
            reader?.nestedRotary(headWidth: headWidth, context: context, base: base)
                ?? .init(width: headWidth, base: Float(base))
        }
        return (
            rotary(nested?.optionalObject("full_attention") ?? config.optionalObject("rope_scaling"), base: base),
            rotary(nested?.optionalObject("sliding_attention"), base: 500_000)
        )
    }

    private static func mixture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(vocabulary: 50_304, width: 2_048, hidden: 2_048, layers: 16, heads: 16, context: 4_096, epsilon: 1e-5)
        )
        model.layer.attention.inputLimit = clipping(config)
        model.layer.attention.queryKeyNorm = model.norm
        model.layer.attention.queryKeyNormSpan = .allHeads
        if case .gated(let hidden, let activation, _) = model.layer.feedForward {
            model.layer.feedForward = .experts(
                .init(
                    count: config.integer("num_experts", "num_local_experts", default: 64, in: ConfigReader.experts),
                    active: config.integer("num_experts_per_tok", default: 8), hidden: hidden, activation: activation,
                    routing: config.bool("norm_topk_prob", default: false) ? .renormalised : .asTheyAre))
        }
        return model.architecture()
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body, let layer = stack.layers.first else { return [:] }
        if layer.arrangement == .afterSublayer {
            return Llama.names(architecture).adding(.llamaWithNormsAfter(before: false))
        }
        guard case .experts = layer.feedForward else { return Llama.names(architecture) }
        return QwenExperts.names(architecture)
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        switch modelType {
        case "olmo": Llama.ggufNames(architecture, modelType: "llama")
        case "olmoe": GGUFNames.decoder.adding(GGUFNames.experts(architecture))
        default: GGUFNames.decoder.adding(GGUFNames.normsAfter)
        }
    }
}
