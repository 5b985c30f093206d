import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
import MartletTensors

/// DeepSeek-V2 and V3: latent attention; the first layers dense, the others of many small experts beside shared ones,
/// chosen within groups.
///
/// Sources: arXiv:2405.04434 (V2), arXiv:2412.19437 (V3).
enum DeepSeek: Family {
    static let modelTypes = ["deepseek_v2", "deepseek_v3"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let isThird = config.string("model_type") == "deepseek_v3"
        var latent: Architecture.Latent?
        var unrotated = 128
        var model = LlamaLike(
            config,
            isThird
                ? .init(
                    vocabulary: 129_280, width: 7_168, hidden: 18_432, layers: 61, heads: 128, context: 4_096,
                    biasKey: "attention_bias") : .init(vocabulary: 102_400, biasKey: "attention_bias"),
            rotary: { _, context in
                let rotated = config.integer("qk_rope_head_dim", default: 64)
                unrotated = config.integer("qk_nope_head_dim", default: 128)
                latent = .init(
                    query: config.integer(orNull: "q_lora_rank", absent: 1_536),
                    keyValue: config.integer("kv_lora_rank", default: 512), rotated: rotated,
                    valueWidth: config.integer("v_head_dim", default: 128), norm: .rms(epsilon: 1e-6))
                return config.rotary(headWidth: rotated, context: context)
            })
        model.layer.attention.latent = latent
        // Keys are made for every head, whatever the configuration says of them.
        model.layer.attention.keyHeads = model.layer.attention.queryHeads
        let headWidth = unrotated + model.rotary.width
        model.layer.attention.headWidth = headWidth
        model.layer.attention.scale = scale(config, headWidth: headWidth)
        if !isThird || config.bool("rope_interleave", default: true) { model.turnNeighbours() }
        if config.bool("mlp_bias", default: false) { config.reject("mlp_bias true is not supported") }
        let experts = isThird ? thirdExperts(config, .init()) : secondExperts(config)
        let dense = config.integer("first_k_dense_replace", default: isThird ? 3 : 0, in: 0...Int(Int32.max))
        return model.architecture { index, layer in
            if index >= dense { layer.feedForward = .experts(experts) }
        }
    }

    /// The scale of scores, 1/√headWidth, times the square of what YaRN would have grown cosines and sines by.
    private static func scale(_ config: ConfigReader, headWidth: Int) -> Float {
        let plain = 1 / Double(headWidth).squareRoot()
        guard let nested = config.rotaryParameters() else { return Float(plain) }
        let isPlain = ["default", nil].contains(
            nested.json(nested.has("rope_type") ? "rope_type" : "type")?.stringValue)
        let weight = nested.optionalNumber("mscale_all_dim") ?? 0
        guard !isPlain, weight != 0, let factor = nested.optionalNumber("factor", in: 1...1e9) else {
            return Float(plain)
        }
        let growth = factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
        return Float(plain * growth * growth)
    }

    private static func secondExperts(_ config: ConfigReader) -> Architecture.Experts {
        let hidden = config.integer("moe_intermediate_size", default: 1_407)
        var routing = Architecture.Routing(
            .softmax, .asTheyAre, factor: Float(config.number("routed_scaling_factor", default: 1)))
        let (groups, active) = (config.optionalInteger("n_group"), config.optionalInteger("topk_group"))
        let grouped = config.choice(
            "topk_method", of: ["greedy": false, "group_limited_greedy": true], default: false)
        if grouped { routing.groups = .init(count: groups ?? 1, active: active ?? 1, by: .best) }
        return .init(
            count: config.integer("n_routed_experts", "num_experts", default: 64, in: ConfigReader.experts),
            active: config.integer("num_experts_per_tok"), hidden: hidden,
            activation: config.activation("hidden_act", default: .silu), routing: routing,
            shared: .init(hidden: hidden * config.integer("n_shared_experts", default: 2), gate: .absent))
    }

    /// Defaults of keys of experts that a configuration of V3's kind leaves out.
    struct ExpertDefaults {
        var (count, active, hidden, groups, activeGroups, factor) = (256, 8, 2_048, 8, 4, 2.5)
    }

    /// V3's experts, which GLM-4.5 shares: scores of their own, corrected for the choice.
    static func thirdExperts(_ config: ConfigReader, _ defaults: ExpertDefaults) -> Architecture.Experts {
        let hidden = config.integer("moe_intermediate_size", default: defaults.hidden)
        var routing = Architecture.Routing(
            .sigmoid, config.bool("norm_topk_prob", default: true) ? .renormalised : .asTheyAre,
            factor: Float(config.number("routed_scaling_factor", default: defaults.factor)))
        routing.correction = .present
        let groups = config.integer("n_group", default: defaults.groups)
        let active = config.integer("topk_group", default: defaults.activeGroups)
        // A single group is all that there is to choose from.
        if groups > 1 { routing.groups = .init(count: groups, active: active, by: .sumOfTwoBest) }
        return .init(
            count: config.integer(
                "n_routed_experts", "num_local_experts", default: defaults.count, in: ConfigReader.experts),
            active: config.integer("num_experts_per_tok", default: defaults.active), hidden: hidden,
            activation: config.activation("hidden_act", default: .silu), routing: routing,
            shared: .init(hidden: hidden * config.integer("n_shared_experts", default: 1), gate: .absent))
    }

    /// Keys for further tokens that an extra module may predict; what V2 reads and does not use; its head width is that
    /// of the rotated part.
    static let harmlessKeys = [
        "num_nextn_predict_layers", "num_mtp_layers", "norm_topk_prob", "head_dim", "qk_head_dim",
    ]

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(FusedExperts.oneByOne()).adding([
            "decoder.#.attention.queryDown": "layers.#.self_attn.q_a_proj",
            "decoder.#.attention.queryNorm": "layers.#.self_attn.q_a_layernorm",
            "decoder.#.attention.queryUp": "layers.#.self_attn.q_b_proj",
            "decoder.#.attention.keyValueDown": "layers.#.self_attn.kv_a_proj_with_mqa",
            "decoder.#.attention.keyValueNorm": "layers.#.self_attn.kv_a_layernorm",
            "decoder.#.attention.keyValueUp": "layers.#.self_attn.kv_b_proj",
        ])
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture)).adding([
            "decoder.#.attention.queryDown": "blk.#.attn_q_a",
            "decoder.#.attention.queryNorm": "blk.#.attn_q_a_norm",
            "decoder.#.attention.queryUp": "blk.#.attn_q_b",
            "decoder.#.attention.keyValueDown": "blk.#.attn_kv_a_mqa",
            "decoder.#.attention.keyValueNorm": "blk.#.attn_kv_a_norm",
            "decoder.#.attention.keyValueUp": "blk.#.attn_kv_b",
        ])
    }
}
