import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// Apertus: Llama with norms of queries and keys, and feed-forwards without a gate whose activation, xIELU, learns its
/// two slopes.
///
/// Sources: arXiv:2509.14233, arXiv:2411.13010 (xIELU).
enum Apertus: Family {
    static let modelTypes = ["apertus"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let isUsual = ["xielu", nil].contains(config.json("hidden_act")?.stringValue)
        if isUsual { config.ignore("hidden_act") }
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 131_072, hidden: 14_336, context: 65_536, epsilon: 1e-5, base: 12e6,
                activationKey: isUsual ? nil : "hidden_act"),
            rotary: { headWidth, context in
                guard config.rotaryParameters() == nil, !config.has("rope_theta") else {
                    return config.rotary(headWidth: headWidth, context: context, base: 12e6)
                }
                return .init(
                    width: headWidth, base: 12e6, scaling: .llama3(factor: 8, low: 1, high: 4, trained: 8_192))
            })
        model.layer.attention.queryKeyNorm = model.norm
        model.removeGate()
        if isUsual, case .plain(let hidden, _, _) = model.layer.feedForward {
            model.layer.feedForward = .expandedIntegral(hidden: hidden)
        }
        return model.architecture()
    }

    static let prefixes = Llama.prefixes

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.attention.normBefore": "layers.#.attention_layernorm",
            "decoder.#.feedForward.normBefore": "layers.#.feedforward_layernorm",
            "decoder.#.feedForward.positive": "layers.#.mlp.act_fn.alpha_p",
            "decoder.#.feedForward.negative": "layers.#.mlp.act_fn.alpha_n",
            "decoder.#.feedForward.beta": "layers.#.mlp.act_fn.beta",
            "decoder.#.feedForward.epsilon": "layers.#.mlp.act_fn.eps",
        ])
    }

    static let unused = Llama.unused

    /// Slopes and constants stand among the settings.
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding([
            "decoder.#.feedForward.positive": "xielu.alpha_p.#",
            "decoder.#.feedForward.negative": "xielu.alpha_n.#",
            "decoder.#.feedForward.beta": "xielu.beta.#",
            "decoder.#.feedForward.epsilon": "xielu.eps.#",
        ])
    }
}
