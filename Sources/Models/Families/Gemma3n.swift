import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
import MartletTensors

/// Gemma 3n's text part: Gemma 3's alternation of windows and norms on both sides, with several residual streams
/// (AltUp), augmented residuals (LAuReL), per-layer embeddings, sparse gates in the first layers, and last layers that
/// read the keys and values of earlier ones.
///
/// Source: Google's configurations of Gemma 3n E2B and E4B.
enum Gemma3n: Family {
    static let modelTypes = ["gemma3n_text"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 2_048)
        let context = config.integer("max_position_embeddings", default: 32_768)
        let epsilon = Float(config.number("rms_norm_eps", default: 1e-6))
        let norm = Architecture.Norm.rms(epsilon: epsilon)
        let count = config.integer("num_hidden_layers", default: 35, in: ConfigReader.layers)
        let sliding = config.slidingLayers(count) ?? (0..<count).map { ($0 + 1) % 5 != 0 }
        let activation = config.activation("hidden_activation", default: .geluTanh)
        let attentions = attentions(config, norm, sliding, context: context)
        let hidden = hidden(config, layers: count)
        let deviations = deviations(config, layers: count)
        let layers = (0..<count).map { index in
            var layer = Architecture.Layer(
                norm: norm, arrangement: .both, attention: attentions[index],
                feedForward: .gated(hidden: hidden[index], activation, bias: .absent))
            layer.gateDeviations = deviations[index]
            return layer
        }
        var stack = Architecture.Stack(layers: layers, outputNorm: norm)
        stack.streams = streams(config)
        var embedding = Architecture.Embedding(scale: Float(Double(width).squareRoot()))
        embedding.perLayer = .init(
            vocabulary: config.integer("vocab_size_per_layer_input", default: 262_144),
            width: config.integer("hidden_size_per_layer_input", default: 256), activation: activation)
        var head = config.tokenHead(tied: true)
        head.cap = config.cap("final_logit_softcapping", absent: 30)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 262_400), width: width, context: context,
            embedding: embedding, body: .decoder(stack), head: config.decoderHead(head))
    }

    private static func streams(_ config: ConfigReader) -> Architecture.Streams {
        let count = config.integer("altup_num_inputs", default: 4, in: 1...64)
        let active = config.integer("altup_active_idx", default: 0, in: 0...63)
        if active >= count { config.reject("altup_active_idx is \(active), but there are \(count) streams") }
        // It keeps weights in bounds while the reference trains.
        config.ignore("altup_coef_clip")
        return .init(
            count: count, active: min(active, count - 1),
            scalesCorrection: config.presence("altup_correct_scale", default: true),
            augmentationRank: config.integer("laurel_rank", default: 64))
    }

    private static func attentions(
        _ config: ConfigReader, _ norm: Architecture.Norm, _ sliding: [Bool], context: Int
    ) -> [Architecture.Attention] {
        let size = config.integer("sliding_window", default: 512)
        let (heads, keyHeads) = (
            config.integer("num_attention_heads", default: 8), config.integer("num_key_value_heads", default: 2)
        )
        let headWidth = config.integer("head_dim", default: 256)
        let bases = (
            config.number("rope_local_base_freq", default: 1e4, in: 1...1e30),
            config.number("rope_theta", default: 1e6, in: 1...1e30)
        )
        let nested = config.optionalObject("rope_parameters")
        let scaling = config.optionalObject("rope_scaling")
        func rotary(_ name: String, _ base: Double, _ other: ConfigReader?) -> Architecture.Rotary {
            (nested?.optionalObject(name) ?? other)?.nestedRotary(headWidth: headWidth, context: context, base: base)
                ?? .init(width: headWidth, base: Float(base))
        }
        let turns = (
            rotary("sliding_attention", bases.0, nil), rotary("full_attention", bases.1, scaling)
        )
        let bias: Architecture.AttentionBias = config.bool("attention_bias", default: false) ? .all : .none
        let sources = Gemma4.sources(config, sliding, default: 15)
        return sliding.enumerated().map { index, slides in
            var attention = Architecture.Attention(
                queryHeads: heads, keyHeads: keyHeads, headWidth: headWidth, scale: 1,
                reach: slides ? .window(size) : .past, positions: .rotary(slides ? turns.0 : turns.1), bias: bias,
                queryKeyNorm: norm)
            attention.valueNorm = .unweightedRMS(epsilon: norm.epsilon)
            attention.keyValues = sources[index].map { .layer($0) } ?? .own
            return attention
        }
    }

    /// The inner widths of the feed-forwards, one for all layers or one for each.
    private static func hidden(_ config: ConfigReader, layers: Int) -> [Int] {
        guard let list = config.json("intermediate_size")?.arrayValue else {
            return Array(repeating: config.integer("intermediate_size", default: 16_384), count: layers)
        }
        config.ignore("intermediate_size")
        let sizes = list.compactMap(\.integerValue).filter { (1...1 << 24).contains($0) }
        guard sizes.count == layers, list.count == layers else {
            config.reject("intermediate_size should have a width for each of \(layers) layers")
            return Array(repeating: 1, count: layers)
        }
        return sizes
    }

    /// For each layer how many standard deviations its gates must exceed their mean by; nil where all count.
    private static func deviations(_ config: ConfigReader, layers: Int) -> [Float?] {
        let list = config.json("activation_sparsity_pattern")?.arrayValue
        config.ignore("activation_sparsity_pattern")
        let usual = (0..<layers).map { layers > 10 && $0 < 10 ? 0.95 : 0 }
        let shares = list.map { $0.compactMap(\.doubleValue).filter { (0..<1).contains($0) } } ?? usual
        guard shares.count == layers, list.map({ $0.count == layers }) ?? true else {
            config.reject("activation_sparsity_pattern should have a share below 1 for each of \(layers) layers")
            return Array(repeating: nil, count: layers)
        }
        return shares.map { $0 > 0 ? Float(NormalDistribution.quantile($0)) : nil }
    }

    static let prefixes = Gemma4.prefixes
    static let unused =
        Gemma4.unused + [
            "audio_tower.*", "model.audio_tower.*", "embed_vision.*", "model.embed_vision.*", "embed_audio.*",
            "model.embed_audio.*",
        ]

    static func names(_ architecture: Architecture) -> WeightNames {
        Gemma4.names(architecture).adding([
            "decoder.streams.beginnings.#": "altup_projections.#",
            "decoder.streams.endings.#": "altup_unembed_projections.#",
            "decoder.#.streams.router": "layers.#.altup.modality_router",
            "decoder.#.streams.routerNorm": "layers.#.altup.router_norm",
            "decoder.#.streams.prediction": "layers.#.altup.prediction_coefs",
            "decoder.#.streams.correction": "layers.#.altup.correction_coefs",
            "decoder.#.streams.scale": "layers.#.altup.correct_output_scale",
            "decoder.#.augmentation.left": "layers.#.laurel.linear_left",
            "decoder.#.augmentation.right": "layers.#.laurel.linear_right",
            "decoder.#.augmentation.norm": "layers.#.laurel.post_laurel_norm",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        var others = 1
        if case .decoder(let stack) = architecture.body, let streams = stack.streams { others = streams.count - 1 }
        return Gemma4.ggufNames(architecture, modelType: modelType).adding([
            "decoder.streams.beginnings.#": WeightName("altup_proj", .stacked(count: others)),
            "decoder.streams.endings.#": WeightName("altup_unembd_proj", .stacked(count: others)),
            "decoder.#.streams.router": "blk.#.altup_router",
            "decoder.#.streams.routerNorm": "blk.#.altup_router_norm",
            "decoder.#.streams.prediction": "blk.#.altup_predict_coef",
            "decoder.#.streams.correction": "blk.#.altup_correct_coef",
            "decoder.#.streams.scale": "blk.#.altup_correct_scale.weight",
            "decoder.#.augmentation.left": "blk.#.laurel_l",
            "decoder.#.augmentation.right": "blk.#.laurel_r",
            "decoder.#.augmentation.norm": "blk.#.laurel_post_norm",
        ])
    }
}
