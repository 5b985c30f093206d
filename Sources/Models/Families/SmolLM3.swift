import MartletFormats
import MartletLayers
import MartletTensors

/// SmolLM3: Llama in which every fourth layer has no positions at all (NoPE, arXiv:2501.18795).
///
/// Source: the configuration of HuggingFaceTB/SmolLM3-3B.
enum SmolLM3: Family {
    static let modelTypes = ["smollm3"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let model = LlamaLike(
            config,
            .init(
                vocabulary: 128_256, width: 2_048, layers: 36, heads: 16, context: 32_768, keyHeads: 4, base: 2e6,
                feedForwardBiasKey: "mlp_bias", tied: true))
        let period = config.integer("no_rope_layer_interval", default: 4)
        // The key says which layers have positions, whatever its name.
        let listed: [Bool]? = config.optionalIntegers("no_rope_layers", in: 0...1)?.map { $0 == 1 }
        let usual: [Bool] = (1...model.layers).map { $0 % period != 0 }
        let rotated = listed ?? usual
        if rotated.count < model.layers {
            config.reject("no_rope_layers has \(rotated.count) entries for \(model.layers) layers")
        }
        let window = config.optionalInteger("sliding_window")
        let slides = config.bool("use_sliding_window", default: false) ? window : nil
        let sliding = config.slidingLayers(model.layers) ?? rotated.map { slides != nil && !$0 }
        return model.architecture { index, layer in
            if index < rotated.count, !rotated[index] { layer.attention.positions = .none }
            if index < sliding.count, sliding[index], let window { layer.attention.reach = .window(window) }
        }
    }

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused
    static func names(_ architecture: Architecture) -> WeightNames { Llama.names(architecture) }
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        Llama.ggufNames(architecture, modelType: "llama")
    }
}
