import MartletFormats
import MartletLayers
import MartletTensors

/// Phi-3.5-MoE: LayerNorm, two experts of sixteen, each weighed among those that are nearly as good, a head with a
/// bias.
///
/// Sources: arXiv:2404.14219, arXiv:2409.12136 (SparseMixer).
enum PhiMoE: Family {
    static let modelTypes = ["phimoe"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 32_064, hidden: 6_400, context: 131_072, keyHeads: 8, epsilon: 1e-5,
                biasKey: "attention_bias"), norm: { .layer(epsilon: $0) },
            rotary: { headWidth, context in rotary(config, headWidth: headWidth, context: context) })
        if let window = config.optionalInteger("sliding_window") { model.layer.attention.reach = .window(window) }
        if config.bool("lm_head_bias", default: false) { model.head.bias = .present }
        if case .gated(let hidden, let activation, _) = model.layer.feedForward {
            let jitter = Float(config.number("router_jitter_noise", default: 0.01, in: 0...1))
            let active = config.integer("num_experts_per_tok", default: 2)
            if active != 2 { config.reject("num_experts_per_tok is \(active), but two experts are mixed") }
            model.layer.feedForward = .experts(
                .init(
                    count: config.integer("num_local_experts", default: 16, in: ConfigReader.experts), active: 2,
                    hidden: hidden, activation: activation, routing: .init(.softmax, .sparseMixer(jitter: jitter))))
        }
        return model.architecture()
    }

    /// Cosines and sines grow by numbers of their own.
    private static func rotary(_ config: ConfigReader, headWidth: Int, context: Int) -> Architecture.Rotary {
        let trained = config.optionalInteger("original_max_position_embeddings")
        var rotary = config.rotary(headWidth: headWidth, context: context, trained: trained, base: 1e6)
        guard case .long(let short, let long, let length, _) = rotary.scaling,
            let nested = config.rotaryParameters()
        else { return rotary }
        let scales = (nested.number("short_mscale", in: 0...1e3), nested.number("long_mscale", in: 0...1e3))
        if scales.0 != scales.1 { config.reject("short_mscale and long_mscale differ, which is not supported") }
        rotary.scaling = .long(short: short, long: long, trained: length, attention: Float(scales.0))
        return rotary
    }

    static let harmlessKeys = ["input_jitter_noise"]
    static let prefixes = Llama.prefixes
    static let unused = Llama.unused
    static func names(_ architecture: Architecture) -> WeightNames { Mixtral.names(architecture) }
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        guard FusedExperts.are(in: tensors) else { return names(architecture) }
        return names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors)).adding([
            "decoder.#.feedForward.router": "layers.#.mlp.router"
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.experts(architecture))
    }
}
