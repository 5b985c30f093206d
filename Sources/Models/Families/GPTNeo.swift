import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// GPT-Neo: GPT-2 with unscaled scores, a bias on the attention's output only, and layers that alternate between the
/// whole text and a window.
///
/// Source: Black et al. 2021, "GPT-Neo", doi:10.5281/zenodo.5297715.
enum GPTNeo: Family {
    static let modelTypes = ["gpt_neo"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 2_048)
        let heads = config.integer("num_heads", "num_attention_heads", default: 16)
        let headWidth = config.headWidth(width, heads)
        let layers = config.integer("num_layers", "num_hidden_layers", default: 24, in: ConfigReader.layers)
        let context = config.integer("max_position_embeddings", default: 2_048)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-5)))
        let window = config.integer("window_size", default: 256)
        let feedForward = Architecture.FeedForward.plain(
            hidden: config.optionalInteger("intermediate_size") ?? 4 * width,
            config.activation("activation_function", default: .geluTanh), bias: .present)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_257), width: width, context: context,
            body: .decoder(
                .init(
                    positions: .learned(context),
                    layers: localLayers(config, layers).map { isLocal in
                        .init(
                            norm: norm, arrangement: .before,
                            attention: .init(
                                queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1,
                                reach: isLocal ? .window(window) : .past, bias: .output),
                            feedForward: feedForward)
                    },
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: true)))
    }

    /// `attention_types` is a list of [kinds, how often they repeat].
    private static func localLayers(_ config: ConfigReader, _ layers: Int) -> [Bool] {
        guard let types = config.json("attention_types") else { return (0..<layers).map { $0 % 2 == 1 } }
        var isLocal: [Bool] = []
        for item in types.arrayValue ?? [] {
            let kinds = item.arrayValue?.first?.arrayValue?.compactMap(\.stringValue) ?? []
            let times = item.arrayValue?.last?.integerValue ?? 0
            guard times > 0, !kinds.isEmpty, kinds.count <= layers, times <= layers else { continue }
            for _ in 0..<times { isLocal += kinds.map { $0 == "local" } }
        }
        if isLocal.count != layers {
            config.reject("attention_types speaks of \(isLocal.count) layers, but there are \(layers)")
        }
        return isLocal
    }

    /// `attention_layers` is `attention_types` written out.
    static let harmlessKeys = [
        "attention_layers", "embed_dropout", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
        "summary_type", "summary_use_proj",
    ]

    static let prefixes = ["transformer.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        DecoderHeads.older.adding([
            "tokens": "wte",
            "decoder.positions": "wpe",
            "decoder.#.attention.normBefore": "h.#.ln_1",
            "decoder.#.attention.query": "h.#.attn.attention.q_proj",
            "decoder.#.attention.key": "h.#.attn.attention.k_proj",
            "decoder.#.attention.value": "h.#.attn.attention.v_proj",
            "decoder.#.attention.output": "h.#.attn.attention.out_proj",
            "decoder.#.feedForward.normBefore": "h.#.ln_2",
            "decoder.#.feedForward.up": "h.#.mlp.c_fc",
            "decoder.#.feedForward.down": "h.#.mlp.c_proj",
            "decoder.outputNorm": "ln_f",
            "head": "lm_head",
        ])
    }

    /// The causal mask that older exports carry.
    static let unused = ["h.#.attn.attention.bias", "h.#.attn.attention.masked_bias"]
}
