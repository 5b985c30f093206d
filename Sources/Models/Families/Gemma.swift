import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors

/// Gemma 1, 2 and 3 (text): norm weights stored less 1, token vectors times √width, tanh-GELU gates; from Gemma 2 on
/// norms on both sides of each sublayer and layers that alternate between a window and the whole text.
///
/// Sources: arXiv:2403.08295 (Gemma), arXiv:2408.00118 (Gemma 2), arXiv:2503.19786 (Gemma 3).
enum Gemma: Family {
    static let modelTypes = ["gemma", "gemma2", "gemma3_text"]

    /// Defaults of keys that a `config.json` leaves out, by model type.
    private struct Defaults {
        var vocabulary = 256_000
        var (width, hidden, layers, heads, keyHeads) = (2_304, 9_216, 26, 8, 4)
        var context = 8_192
        var (scoreCap, logitCap): (Double?, Double?)

        init(_ modelType: String) {
            switch modelType {
            case "gemma": (width, hidden, layers, heads, keyHeads) = (3_072, 24_576, 28, 16, 16)
            case "gemma2", "vaultgemma": (scoreCap, logitCap) = (50, 30)
            default: (vocabulary, context) = (262_208, 131_072)
            }
        }
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = config.string("model_type")
        let defaults = Defaults(modelType)
        let width = config.integer("hidden_size", default: defaults.width)
        let context = config.integer("max_position_embeddings", default: defaults.context)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)), weightOffset: 1)
        let feedForward = Architecture.FeedForward.gated(
            hidden: config.integer("intermediate_size", default: defaults.hidden), activation(config, modelType),
            bias: .absent)
        let reaches = reaches(
            config, modelType, config.integer("num_hidden_layers", default: defaults.layers, in: ConfigReader.layers))
        var attention = attention(config, modelType, defaults)
        if modelType == "gemma3_text" { attention.queryKeyNorm = norm }
        let rotaries = rotaries(config, modelType, headWidth: attention.headWidth, context: context)
        var layers = reaches.map { reach in
            attention.reach = reach
            attention.positions = .rotary(reach == .past ? rotaries.whole : rotaries.window)
            return Architecture.Layer(
                norm: norm, arrangement: ["gemma", "vaultgemma"].contains(modelType) ? .before : .both,
                attention: attention, feedForward: feedForward)
        }
        var head = config.tokenHead(tied: true)
        if modelType != "gemma" { head.cap = config.cap("final_logit_softcapping", absent: defaults.logitCap) }
        let isEncoder = config.bool("use_bidirectional_attention", default: false)
        if isEncoder { makeBidirectional(&layers, config) }
        let stack = Architecture.Stack(layers: layers, outputNorm: norm)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: defaults.vocabulary), width: width, context: context,
            embedding: .init(scale: Float(Double(width).squareRoot())),
            body: isEncoder ? .encoder(stack) : .decoder(stack), head: isEncoder ? .none : config.decoderHead(head))
    }

    /// EmbeddingGemma (arXiv:2509.20354): the layers read both ways, and nothing is written.
    private static func makeBidirectional(_ layers: inout [Architecture.Layer], _ config: ConfigReader) {
        let name = config.optionalStrings("architectures")?.first ?? "Gemma3TextModel"
        if !name.hasSuffix("Model") {
            config.reject("use_bidirectional_attention makes a reader of the model, but \(name) would write")
        }
        for index in layers.indices {
            // A window of the configuration counts both sides.
            if case .window(let size) = layers[index].attention.reach {
                layers[index].attention.reach = .around(size / 2)
            } else {
                layers[index].attention.reach = .all
            }
        }
    }

    /// Gemma 1 was published with `gelu` and meant its tanh form.
    private static func activation(_ config: ConfigReader, _ modelType: String) -> Architecture.Activation {
        guard modelType == "gemma" else { return config.activation("hidden_activation", default: .geluTanh) }
        let activation = config.activation("hidden_act", default: .geluTanh)
        return activation == .gelu ? .geluTanh : activation
    }

    private static func attention(
        _ config: ConfigReader, _ modelType: String, _ defaults: Defaults
    ) -> Architecture.Attention {
        let headWidth = config.integer("head_dim", default: 256)
        let scaledBy =
            modelType == "gemma"
            ? Double(headWidth) : config.number("query_pre_attn_scalar", default: 256, in: 1e-6...1e9)
        return Architecture.Attention(
            queryHeads: config.integer("num_attention_heads", default: defaults.heads),
            keyHeads: config.integer("num_key_value_heads", default: defaults.keyHeads), headWidth: headWidth,
            scale: Float(1 / scaledBy.squareRoot()), reach: .past,
            bias: config.bool("attention_bias", default: false) ? .all : .none,
            scoreCap: ["gemma2", "vaultgemma"].contains(modelType)
                ? config.cap("attn_logit_softcapping", absent: defaults.scoreCap) : nil)
    }

    /// Gemma 2 alternates, beginning with a window; in Gemma 3 every sixth layer sees the whole text.
    private static func reaches(_ config: ConfigReader, _ modelType: String, _ layers: Int) -> [Architecture.Reach] {
        guard modelType != "gemma" else { return Array(repeating: .past, count: layers) }
        let window = config.integer(orNull: "sliding_window", absent: 4_096)
        let period =
            ["gemma2", "vaultgemma"].contains(modelType) ? 2 : config.integer("sliding_window_pattern", default: 6)
        let sliding = config.slidingLayers(layers) ?? (0..<layers).map { ($0 + 1) % period != 0 }
        return sliding.map { slides in
            guard slides, let window else { return .past }
            return .window(window)
        }
    }

    /// Gemma 3 turns windows by a base of their own, and stretches only what sees the whole text.
    private static func rotaries(
        _ config: ConfigReader, _ modelType: String, headWidth: Int, context: Int
    ) -> (whole: Architecture.Rotary, window: Architecture.Rotary) {
        guard modelType == "gemma3_text" else {
            let rotary = config.rotary(headWidth: headWidth, context: context)
            return (rotary, rotary)
        }
        let bases = (
            config.number("rope_theta", default: 1e6, in: 1...1e30),
            config.number("rope_local_base_freq", default: 1e4, in: 1...1e30)
        )
        func rotary(_ nested: ConfigReader?, _ base: Double) -> Architecture.Rotary {
            nested?.nestedRotary(headWidth: headWidth, context: context, base: base)
                ?? .init(width: headWidth, base: Float(base))
        }
        let nested = config.optionalObject("rope_parameters")
        return (
            rotary(nested?.optionalObject("full_attention") ?? config.optionalObject("rope_scaling"), bases.0),
            rotary(nested?.optionalObject("sliding_attention"), bases.1)
        )
    }

    /// Gemma 1 states a second activation that nobody reads; Gemma 2 and 3 say theirs twice; `layer_types` says what
    /// the pattern repeats; the reference caps no scores in Gemma 3, whatever its configuration says.
    static let harmlessKeys = [
        "hidden_act", "hidden_activation", "_sliding_window_pattern", "sliding_window_size", "attn_logit_softcapping",
    ]

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        let names = Llama.names(architecture)
        let sandwiched = names.adding([
            "decoder.#.attention.normAfter": "layers.#.post_attention_layernorm",
            "decoder.#.feedForward.normBefore": "layers.#.pre_feedforward_layernorm",
            "decoder.#.feedForward.normAfter": "layers.#.post_feedforward_layernorm",
        ])
        switch architecture.body {
        case .decoder(let stack) where stack.layers.first?.arrangement == .both: return sandwiched
        case .encoder: return sandwiched.replacing("decoder", by: "encoder")
        default: return names
        }
    }

    /// A GGUF stores norm weights as they are multiplied with.
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        func norm(_ name: String) -> WeightName { WeightName(name, .plus(1)) }
        let names = GGUFNames.decoder.adding([
            "decoder.#.attention.normBefore": norm("blk.#.attn_norm"),
            "decoder.#.attention.normAfter": norm("blk.#.post_attention_norm"),
            "decoder.#.attention.queryNorm": norm("blk.#.attn_q_norm"),
            "decoder.#.attention.keyNorm": norm("blk.#.attn_k_norm"),
            "decoder.#.feedForward.normBefore": norm("blk.#.ffn_norm"),
            "decoder.#.feedForward.normAfter": norm("blk.#.post_ffw_norm"),
            "decoder.outputNorm": norm("output_norm"),
        ])
        if case .encoder = architecture.body { return names.replacing("decoder", by: "encoder") }
        return names
    }
}

extension ConfigReader {
    /// A cap where absence means `absent` and null means none.
    func cap(_ key: String, absent: Double?) -> Float? {
        (optionalNumber(key, in: 1e-6...1e9) ?? (keys.contains(key) ? nil : absent)).map { Float($0) }
    }
}
