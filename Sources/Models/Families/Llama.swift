import MartletFormats
import MartletLayers
import MartletTensors

/// Llama 1–3, Mistral, Qwen2 and Qwen3: pre-RMSNorm, rotary positions, grouped-query attention, SwiGLU.
///
/// Sources: arXiv:2302.13971 (Llama), arXiv:2310.06825 (Mistral), arXiv:2407.10671 (Qwen2), arXiv:2505.09388 (Qwen3).
/// Field names and defaults follow the `config.json` of the published checkpoints.
enum Llama: Family {
    static let modelTypes = [
        "llama", "mistral", "qwen2", "qwen3", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text",
    ]

    /// The model type of the text part of a model that also sees: text alone has one position at a time.
    private static func withoutSight(_ modelType: String) -> String {
        ["qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3"][modelType] ?? modelType
    }

    /// Defaults of keys that a `config.json` leaves out, by model type.
    private struct Defaults {
        var vocabulary = 32_000
        var hidden = 11_008
        var keyHeads: Int?
        var headWidth: Int?
        var context = 2_048
        var window: Int?

        init(_ modelType: String) {
            switch modelType {
            case "mistral": (hidden, keyHeads, context, window) = (14_336, 8, 131_072, 4_096)
            case "qwen2": (vocabulary, hidden, keyHeads, context, window) = (151_936, 22_016, 32, 32_768, 4_096)
            case "qwen3":
                (vocabulary, hidden, keyHeads, context, window) = (151_936, 22_016, 32, 32_768, 4_096)
                headWidth = 128
            default: break
            }
        }
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = withoutSight(config.string("model_type"))
        let defaults = Defaults(modelType)
        let width = config.integer("hidden_size", default: 4_096)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)))
        let context = config.integer("max_position_embeddings", default: defaults.context)
        let reaches = reaches(config, modelType, defaults)
        var attention = Self.attention(config, modelType, defaults, width: width, context: context)
        if modelType == "qwen3" { attention.queryKeyNorm = norm }
        let feedForward = Architecture.FeedForward.gated(
            hidden: config.integer("intermediate_size", default: defaults.hidden),
            config.activation("hidden_act", default: .silu),
            bias: modelType == "llama" && config.bool("mlp_bias", default: false) ? .present : .absent)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: defaults.vocabulary), width: width,
            context: attention.positions.isUnbounded ? nil : context,
            body: .decoder(
                .init(
                    layers: reaches.map { reach in
                        attention.reach = reach
                        return .init(norm: norm, arrangement: .before, attention: attention, feedForward: feedForward)
                    },
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: false)))
    }

    private static func attention(
        _ config: ConfigReader, _ modelType: String, _ defaults: Defaults, width: Int, context: Int
    ) -> Architecture.Attention {
        let heads = config.integer("num_attention_heads", default: 32)
        // Null is not absence: it asks for the width over the heads.
        let headWidth = config.integer(orNull: "head_dim", absent: defaults.headWidth) ?? width / heads
        let biased = modelType != "mistral" && modelType != "qwen2" && config.bool("attention_bias", default: false)
        return Architecture.Attention(
            queryHeads: heads,
            keyHeads: config.integer(orNull: "num_key_value_heads", absent: defaults.keyHeads) ?? heads,
            headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(), reach: .past,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context)),
            bias: modelType == "qwen2" ? .queryKeyValue : biased ? .all : .none)
    }

    /// The reach of each layer. Mistral's window holds everywhere; Qwen's from `max_window_layers` on, and only where
    /// it is switched on.
    private static func reaches(
        _ config: ConfigReader, _ modelType: String, _ defaults: Defaults
    ) -> [Architecture.Reach] {
        let layers = config.integer("num_hidden_layers", default: 32, in: ConfigReader.layers)
        guard modelType != "llama" else { return Array(repeating: .past, count: layers) }
        // Absent means the default, null means none.
        let window =
            config.optionalInteger("sliding_window") ?? (config.keys.contains("sliding_window") ? nil : defaults.window)
        guard modelType != "mistral" else {
            return Array(repeating: window.map { .window($0) } ?? .past, count: layers)
        }
        let first = config.integer("max_window_layers", default: 28, in: 0...Int(Int32.max))
        let switchedOn = config.bool("use_sliding_window", default: false)
        let sliding = config.slidingLayers(layers)
        return (0..<layers).map { layer in
            guard switchedOn, let window else { return .past }
            return (sliding?[layer] ?? (layer >= first)) ? .window(window) : .past
        }
    }

    /// The prefixes of names: as part of a language model, under a head that answers, as part of a model that also sees
    /// (in two spellings), or alone.
    static let prefixes = ["model.", "transformer.", "language_model.model.", "model.language_model.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.names.adding([
            "tokens": "embed_tokens",
            "decoder.#.attention.normBefore": "layers.#.input_layernorm",
            "decoder.#.attention.query": "layers.#.self_attn.q_proj",
            "decoder.#.attention.key": "layers.#.self_attn.k_proj",
            "decoder.#.attention.value": "layers.#.self_attn.v_proj",
            "decoder.#.attention.output": "layers.#.self_attn.o_proj",
            "decoder.#.attention.queryNorm": "layers.#.self_attn.q_norm",
            "decoder.#.attention.keyNorm": "layers.#.self_attn.k_norm",
            "decoder.#.feedForward.normBefore": "layers.#.post_attention_layernorm",
            "decoder.#.feedForward.gate": "layers.#.mlp.gate_proj",
            "decoder.#.feedForward.up": "layers.#.mlp.up_proj",
            "decoder.#.feedForward.down": "layers.#.mlp.down_proj",
            "decoder.outputNorm": "norm",
            "head": "lm_head",
        ])
    }

    /// Tensors that some exports carry and the model computes itself, and those that look at pictures.
    static let unused = [
        "layers.#.self_attn.rotary_emb.inv_freq", "vision_tower.*", "multi_modal_projector.*", "model.vision_tower.*",
        "model.multi_modal_projector.*", "visual.*", "model.visual.*",
    ]

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        guard modelType == "llama" || modelType == "mistral", case .decoder(let stack) = architecture.body,
            let layer = stack.layers.first
        else {
            return GGUFNames.decoder
        }
        let layout = WeightName.Layout.rotaryPairs(headWidth: layer.attention.headWidth)
        return GGUFNames.decoder.adding([
            "decoder.#.attention.query": WeightName("blk.#.attn_q", layout),
            "decoder.#.attention.key": WeightName("blk.#.attn_k", layout),
        ])
    }
}
