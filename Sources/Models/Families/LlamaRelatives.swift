import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
import MartletTensors

/// Decoders that are Llama but for one or two settings: Arcee (a squared ReLU without a gate), CWM (windows), Ernie 4.5
/// (neighbouring pairs rotated), Hunyuan (queries and keys normed after they are rotated), InternLM 3, IQuest-Coder,
/// Jais 2 (LayerNorm, no gate), Seed-OSS (biases on queries, keys and values).
///
/// Source: the configurations that their makers published.
enum LlamaRelatives: Family {
    static let modelTypes = [
        "arcee", "cwm", "ernie4_5", "hunyuan_v1_dense", "internlm3", "iquestcoder", "jais2", "seed_oss",
    ]

    /// Defaults of keys that a `config.json` leaves out, by model type.
    private static func defaults(_ modelType: String) -> LlamaLike.Defaults {
        switch modelType {
        case "arcee":
            .init(
                width: 2_560, hidden: 18_432, context: 4_096, epsilon: 1e-5, activation: .reluSquared,
                feedForwardBiasKey: "mlp_bias")
        case "cwm":
            .init(
                vocabulary: 128_256, width: 6_144, hidden: 21_504, layers: 64, heads: 48, context: 131_072,
                keyHeads: 8, headWidth: 128, epsilon: 1e-5, base: 1e6, biasKey: nil, feedForwardBiasKey: "mlp_bias")
        case "ernie4_5":
            .init(
                vocabulary: 103_424, width: 1_024, hidden: 3_072, layers: 18, heads: 16, context: 131_072,
                keyHeads: 2, headWidth: 128, epsilon: 1e-5, base: 500_000, biasKey: "use_bias",
                feedForwardBiasKey: "use_bias", tied: true)
        case "hunyuan_v1_dense": .init(vocabulary: 290_943, epsilon: 1e-5)
        case "internlm3":
            .init(
                vocabulary: 128_512, hidden: 10_240, layers: 48, context: 32_768, keyHeads: 2, headWidth: 128,
                epsilon: 1e-5, biasKey: "qkv_bias", feedForwardBiasKey: "bias")
        case "iquestcoder":
            .init(
                vocabulary: 76_800, width: 5_120, hidden: 27_648, layers: 80, heads: 40, context: 131_072, keyHeads: 8,
                headWidth: 128, epsilon: 1e-5, feedForwardBiasKey: "mlp_bias")
        case "jais2":
            .init(
                vocabulary: 150_272, width: 3_328, hidden: 26_624, heads: 26, context: 8_192,
                epsilon: 1e-5, epsilonKey: "layer_norm_eps", activation: .reluSquared, feedForwardBiasKey: "mlp_bias",
                biased: true)
        default:
            .init(
                vocabulary: 155_136, hidden: 27_648, layers: 64, heads: 80, context: 524_288, keyHeads: 8,
                headWidth: 128, biasKey: nil, inputBiasKey: "attention_bias", biased: true)
        }
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = config.string("model_type")
        var defaults = defaults(modelType)
        // As transformers spells what InternLM 3 was published with.
        if modelType == "internlm3", config.has("attention_bias") || config.has("mlp_bias") {
            (defaults.biasKey, defaults.feedForwardBiasKey) = ("attention_bias", "mlp_bias")
            config.ignore("qkv_bias", "bias")
        }
        var model = LlamaLike(
            config, defaults, norm: { modelType == "jais2" ? .layer(epsilon: $0) : .rms(epsilon: $0) },
            rotary: modelType == "hunyuan_v1_dense"
                ? { hunyuan(config, headWidth: $0, context: $1, base: defaults.base) } : nil)
        switch modelType {
        case "arcee", "jais2": model.removeGate()
        case "cwm": return cwm(config, model)
        case "ernie4_5": model.turnNeighbours()
        case "hunyuan_v1_dense":
            model.layer.attention.queryKeyNorm = model.norm
            model.layer.attention.queryKeyNormSpan = .rotatedHead
        case "seed_oss":
            let inputs = model.layer.attention.bias == .queryKeyValue
            if config.bool("attention_out_bias", default: false) {
                model.layer.attention.bias = inputs ? .all : .output
            }
        default: break
        }
        return model.architecture()
    }

    /// Hunyuan's "dynamic" with an alpha is a base that grows once, by alpha^(width / (width − 2)).
    private static func hunyuan(
        _ config: ConfigReader, headWidth: Int, context: Int, base: Double
    ) -> Architecture.Rotary {
        guard let nested = config.rotaryParameters(),
            let alpha = nested.optionalNumber("alpha", in: 0...1e9), alpha > 0,
            ["dynamic", "ntk_alpha"].contains(nested.json("rope_type", "type")?.stringValue)
        else { return config.rotary(headWidth: headWidth, context: context, base: base) }
        let outer = config.number("rope_theta", default: base, in: 1...1e30)
        let own = nested.number("rope_theta", default: outer, in: 1...1e30)
        // What the other form of scaling would read.
        nested.ignore(
            "factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "original_max_position_embeddings")
        let width = Double(headWidth)
        return .init(width: headWidth, base: Float(own * pow(alpha, width / (width - 2))))
    }

    /// Every fourth layer from the first on sees the whole text, the others a window.
    private static func cwm(_ config: ConfigReader, _ model: LlamaLike) -> Architecture {
        let window = config.integer(orNull: "sliding_window", absent: 8_192)
        let sliding = model.sliding(allBut: 4, first: true)
        return model.architecture { index, layer in
            if sliding[index], let window { layer.attention.reach = .window(window) }
        }
    }

    /// Settings of training, and keys that repeat others.
    static let harmlessKeys = [
        "residual_dropout", "eod_token_id", "use_qk_norm", "compression_ratio", "enable_lm_head_fp32",
    ]

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        let names = Llama.names(architecture)
        guard case .decoder(let stack) = architecture.body,
            stack.layers.first?.attention.queryKeyNormSpan == .rotatedHead
        else { return names }
        return names.adding([
            "decoder.#.attention.queryNorm": "layers.#.self_attn.query_layernorm",
            "decoder.#.attention.keyNorm": "layers.#.self_attn.key_layernorm",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        if modelType == "arcee" { return Llama.ggufNames(architecture, modelType: "llama") }
        guard modelType == "seed_oss" else { return GGUFNames.decoder }
        return GGUFNames.decoder.adding(["decoder.#.feedForward.normBefore": "blk.#.post_attention_norm"])
    }
}
