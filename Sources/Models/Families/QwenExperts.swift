import MartletFormats
import MartletLayers
import MartletTensors

/// Qwen2-MoE and Qwen3-MoE: mixtures of experts in all or some layers; Qwen2-MoE adds an expert that every row passes.
/// The text part of Qwen3-VL's mixtures is Qwen3-MoE, whose chosen experts always weigh 1 together.
///
/// Sources: arXiv:2407.10671 (Qwen2), arXiv:2505.09388 (Qwen3).
enum QwenExperts: Family {
    static let modelTypes = ["qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text"]

    /// Defaults of keys that a `config.json` leaves out, by model type.
    private struct Defaults {
        var (hidden, expertHidden, heads, keyHeads, experts, active) = (5_632, 1_408, 16, 16, 60, 4)
        var context = 32_768

        init(_ modelType: String) {
            switch modelType {
            case "qwen3_moe": (hidden, expertHidden, heads, keyHeads, experts, active) = (6_144, 768, 32, 4, 128, 8)
            case "qwen3_vl_moe_text": context = 128_000
            default: break
            }
        }
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = config.string("model_type")
        let defaults = Defaults(modelType)
        let width = config.integer("hidden_size", default: 2_048)
        let context = config.integer("max_position_embeddings", default: defaults.context)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)))
        let reaches = reaches(
            config, modelType, config.integer("num_hidden_layers", default: 24, in: ConfigReader.layers))
        let feedForwards = feedForwards(config, modelType, defaults, layers: reaches.count)
        var attention = attention(config, modelType, defaults, width: width, context: context)
        if modelType != "qwen2_moe" { attention.queryKeyNorm = norm }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 151_936), width: width,
            context: attention.positions.isUnbounded ? nil : context,
            body: .decoder(
                .init(
                    layers: zip(reaches, feedForwards).map { reach, feedForward in
                        attention.reach = reach
                        return .init(norm: norm, arrangement: .before, attention: attention, feedForward: feedForward)
                    },
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: false)))
    }

    private static func attention(
        _ config: ConfigReader, _ modelType: String, _ defaults: Defaults, width: Int, context: Int
    ) -> Architecture.Attention {
        let heads = config.integer("num_attention_heads", default: defaults.heads)
        let headWidth = config.optionalInteger("head_dim") ?? width / heads
        let bias: Architecture.AttentionBias =
            modelType == "qwen2_moe"
            ? (config.bool("qkv_bias", default: true) ? .queryKeyValue : .none)
            : (config.bool("attention_bias", default: false) ? .all : .none)
        return Architecture.Attention(
            queryHeads: heads,
            keyHeads: config.integer(orNull: "num_key_value_heads", absent: defaults.keyHeads) ?? heads,
            headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context)), bias: bias)
    }

    /// Windows, where they are switched on: in all layers of Qwen3-MoE, in every second of the first
    /// `max_window_layers` of Qwen2-MoE.
    private static func reaches(_ config: ConfigReader, _ modelType: String, _ layers: Int) -> [Architecture.Reach] {
        guard modelType != "qwen3_vl_moe_text" else { return Array(repeating: .past, count: layers) }
        let size = config.integer(orNull: "sliding_window", absent: 4_096, in: 0...Int(Int32.max))
        let switchedOn = config.bool("use_sliding_window", default: false)
        let last = config.integer("max_window_layers", default: 28, in: 0...Int(Int32.max))
        let window: Architecture.Reach? = switchedOn ? size.flatMap { $0 > 0 ? .window($0) : nil } : nil
        if modelType == "qwen3_moe" { return Array(repeating: window ?? .past, count: layers) }
        let sliding = config.slidingLayers(layers) ?? (0..<layers).map { $0 % 2 == 0 && $0 < last }
        return sliding.map { $0 ? window ?? .past : .past }
    }

    /// Every `decoder_sparse_step`-th layer has experts, unless `mlp_only_layers` names it.
    private static func feedForwards(
        _ config: ConfigReader, _ modelType: String, _ defaults: Defaults, layers: Int
    ) -> [Architecture.FeedForward] {
        let activation = config.activation("hidden_act", default: .silu)
        var experts = Architecture.Experts(
            count: config.integer(
                "num_experts", "num_local_experts", default: defaults.experts, in: 0...ConfigReader.experts.upperBound),
            active: config.integer("num_experts_per_tok", default: defaults.active),
            hidden: config.integer("moe_intermediate_size", default: defaults.expertHidden), activation: activation,
            routing: modelType == "qwen3_vl_moe_text" || config.bool("norm_topk_prob", default: false)
                ? .renormalised : .asTheyAre)
        if modelType == "qwen2_moe" {
            experts.shared = .init(hidden: config.integer("shared_expert_intermediate_size", default: 5_632))
        }
        let dense = Architecture.FeedForward.gated(
            hidden: config.integer("intermediate_size", default: defaults.hidden), activation, bias: .absent)
        let step = config.integer("decoder_sparse_step", default: 1)
        let exceptions = Set(config.optionalIntegers("mlp_only_layers", in: 0...Int(Int32.max)) ?? [])
        return (0..<layers).map { layer in
            let sparse = experts.count > 0 && (layer + 1) % step == 0 && !exceptions.contains(layer)
            return sparse ? .experts(experts) : dense
        }
    }

    /// Keys that the text part of a model that sees does not read.
    static let harmlessKeys = ["norm_topk_prob"]
    static let prefixes = Llama.prefixes

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.feedForward.router": "layers.#.mlp.gate",
            "decoder.#.feedForward.experts.##.gate": "layers.#.mlp.experts.##.gate_proj",
            "decoder.#.feedForward.experts.##.up": "layers.#.mlp.experts.##.up_proj",
            "decoder.#.feedForward.experts.##.down": "layers.#.mlp.experts.##.down_proj",
            "decoder.#.feedForward.sharedGate": "layers.#.mlp.shared_expert_gate",
            "decoder.#.feedForward.shared.gate": "layers.#.mlp.shared_expert.gate_proj",
            "decoder.#.feedForward.shared.up": "layers.#.mlp.shared_expert.up_proj",
            "decoder.#.feedForward.shared.down": "layers.#.mlp.shared_expert.down_proj",
        ])
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
    }

    static let unused = Llama.unused

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture))
    }
}
