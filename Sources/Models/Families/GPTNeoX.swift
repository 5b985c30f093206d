import MartletFormats
import MartletLayers
import MartletTensors

/// GPT-NeoX and Pythia: attention and feed-forward beside each other, each with its LayerNorm; a part of each head
/// rotated.
///
/// Source: arXiv:2204.06745. Its checkpoints keep query, key and value in one tensor, head by head.
enum GPTNeoX: Family {
    static let modelTypes = ["gpt_neox"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 6_144)
        let heads = config.integer("num_attention_heads", default: 64)
        let headWidth = config.headWidth(width, heads)
        let context = config.integer("max_position_embeddings", default: 2_048)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-5)))
        let rotary = config.rotary(
            headWidth: headWidth, context: context, baseKey: "rotary_emb_base", share: 0.25, shareKey: "rotary_pct")
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .past, positions: .rotary(rotary), bias: config.bool("attention_bias", default: true) ? .all : .none)
        let layer = Architecture.Layer(
            norm: norm, arrangement: config.bool("use_parallel_residual", default: true) ? .parallelSeparate : .before,
            attention: attention,
            feedForward: .plain(
                hidden: config.integer("intermediate_size", default: 24_576),
                config.activation("hidden_act", default: .gelu), bias: .present))
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_432), width: width,
            context: attention.positions.isUnbounded ? nil : context,
            body: .decoder(
                .init(
                    layers: Array(
                        repeating: layer,
                        count: config.integer("num_hidden_layers", default: 44, in: ConfigReader.layers)),
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: false)))
    }

    /// Every head has a key of its own, whatever `num_key_value_heads` says.
    static let harmlessKeys = ["num_key_value_heads"]

    static let prefixes = ["gpt_neox.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .decoder(let stack) = architecture.body else { return [:] }
        let parts = ["query", "key", "value"].map { "decoder.#.attention.\($0)" }
        let heads = stack.layers.first?.attention.queryHeads ?? 1
        let fused = WeightName("layers.#.attention.query_key_value", .rows(of: parts, groups: heads))
        return DecoderHeads.older.adding([
            "tokens": "embed_in",
            "decoder.#.attention.normBefore": "layers.#.input_layernorm",
            "decoder.#.attention.query": fused,
            "decoder.#.attention.key": fused,
            "decoder.#.attention.value": fused,
            "decoder.#.attention.output": "layers.#.attention.dense",
            "decoder.#.feedForward.normBefore": "layers.#.post_attention_layernorm",
            "decoder.#.feedForward.up": "layers.#.mlp.dense_h_to_4h",
            "decoder.#.feedForward.down": "layers.#.mlp.dense_4h_to_h",
            "decoder.outputNorm": "final_layer_norm",
            "head": "embed_out",
        ])
    }

    /// The head's name as transformers holds it in memory: in files of a state dict, and of adapters that bring a head.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        tensors["lm_head.weight"] == nil ? names(architecture) : names(architecture).adding(["head": "lm_head"])
    }

    /// The causal mask and the frequencies that older exports carry, and a head that repeats the token table.
    static let unused = [
        "layers.#.attention.bias", "layers.#.attention.masked_bias", "layers.#.attention.rotary_emb.inv_freq",
        "embed_out.weight",
    ]

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames { GGUFNames.fusedDecoder }
}
