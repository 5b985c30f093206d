import MartletFormats
import MartletLayers
import MartletTensors

/// Ernie 4.5's mixtures: neighbouring pairs rotated, experts corrected for the choice, beside shared ones.
///
/// Source: Baidu's configurations of ERNIE-4.5-21B-A3B and -300B-A47B.
enum ErnieExperts: Family {
    static let modelTypes = ["ernie4_5_moe"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 103_424, width: 2_560, hidden: 12_288, layers: 28, heads: 20, context: 131_072, keyHeads: 4,
                epsilon: 1e-5, base: 500_000, biasKey: "use_bias", feedForwardBiasKey: "use_bias", tied: true))
        model.turnNeighbours()
        let biased = config.bool("use_bias", default: false)
        if biased { model.head.bias = .present }
        var routing = Architecture.Routing.renormalised
        routing.correction = .present
        if config.number("moe_norm_min", default: 1e-12, in: 0...1) > 1e-3 {
            config.reject("moe_norm_min is more than 0.001, so that weights would not always sum to 1")
        }
        let hidden = config.integer("moe_intermediate_size", default: 1_536)
        let shared = config.integer("moe_num_shared_experts", default: 2, in: 0...65_536)
        let experts = Architecture.Experts(
            count: config.integer("moe_num_experts", "num_experts", default: 64, in: ConfigReader.experts),
            active: config.integer("moe_k", "num_experts_per_tok", default: 6), hidden: hidden,
            activation: config.activation("hidden_act", default: .silu), routing: routing,
            shared: shared > 0 ? .init(hidden: hidden * shared, gate: .absent) : nil)
        if biased && shared > 0 { config.reject("use_bias with shared experts is not supported") }
        let range = -1...Int(Int32.max)
        let first = config.integer("moe_layer_start_index", default: 1, in: range)
        let last = config.integer("moe_layer_end_index", default: -1, in: range)
        let interval = config.integer("moe_layer_interval", default: 1)
        let end = last == -1 ? model.layers - 1 : last
        return model.architecture { index, layer in
            if (index + 1) % interval == 0 && index >= first && index <= end { layer.feedForward = .experts(experts) }
        }
    }

    /// Losses of training, and what routes rows over devices.
    static let harmlessKeys = ["moe_capacity", "moe_gate", "moe_use_aux_free", "num_nextn_predict_layers"]
    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(FusedExperts.oneByOne()).adding([
            "decoder.#.feedForward.router.correction": WeightName(
                "layers.#.mlp.moe_statics.e_score_correction_bias", .stacked(count: 1))
        ])
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let names = names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
        // As transformers holds it in memory, where the router has it.
        let own = "mlp.gate.moe_statics.e_score_correction_bias"
        guard tensors.names.contains(where: { $0.hasSuffix(own) }) else { return names }
        return names.adding([
            "decoder.#.feedForward.router.correction": WeightName("layers.#.\(own)", .stacked(count: 1))
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture))
    }
}
