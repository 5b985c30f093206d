import MartletFormats
import MartletLayers
import MartletTensors

/// Ministral 3, also as the text part of Mistral 3: Mistral whose queries grow with their positions beyond the length
/// before stretching.
///
/// Source: Mistral AI's configurations; the growth is Llama 4's.
enum Ministral3: Family {
    static let modelTypes = ["ministral3"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var growth: Architecture.QueryGrowth?
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 131_072, hidden: 14_336, layers: 34, context: 262_144, keyHeads: 8, headWidth: 128,
                epsilon: 1e-5, biasKey: nil),
            rotary: { headWidth, context in
                guard let nested = config.optionalObject("rope_parameters", "rope_scaling") else {
                    growth = .init(factor: 0.1, every: 16_384)
                    return published(headWidth: headWidth)
                }
                nested.ignore("max_position_embeddings")
                let length = nested.integer("original_max_position_embeddings", default: context)
                if let factor = nested.optionalNumber("llama_4_scaling_beta", in: 0...1e3) {
                    growth = .init(factor: Float(factor), every: length)
                }
                let base = config.number("rope_theta", default: 10_000, in: 1...1e30)
                return nested.nestedRotary(headWidth: headWidth, context: context, base: base)
            })
        model.layer.attention.queryGrowth = growth
        if let window = config.optionalInteger("sliding_window") { model.layer.attention.reach = .window(window) }
        return model.architecture()
    }

    /// The rotary positions that an absent setting means.
    private static func published(headWidth: Int) -> Architecture.Rotary {
        .init(
            width: headWidth, base: 1e6,
            scaling: .yarn(.init(factor: 16, fast: 32, slow: 1, trained: 16_384, attention: 1, ends: .rounded)))
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused
    static func names(_ architecture: Architecture) -> WeightNames { Llama.names(architecture) }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        Llama.ggufNames(architecture, modelType: "mistral")
    }
}
