import MartletFormats
import MartletLayers
import MartletTensors

/// Jina Embeddings 3, as transformers writes it: XLM-RoBERTa's layers with rotary positions. Its adapters are peft's,
/// one for each task.
///
/// Source: arXiv:2409.10173.
enum JinaEmbeddings3: Family {
    static let modelTypes = ["jina_embeddings_v3"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 1_024)
        let heads = config.integer("num_attention_heads", default: 16)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-5)))
        let context = config.integer("max_position_embeddings", default: 8_194)
        let headWidth = config.optionalInteger("head_dim") ?? config.headWidth(width, heads)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .after,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
                reach: .all,
                positions: .rotary(config.rotary(headWidth: headWidth, context: context, base: 20_000)), bias: .all),
            feedForward: .plain(
                hidden: config.integer("intermediate_size", default: 4_096),
                config.activation("hidden_act", default: .gelu), bias: .present))
        let layers = config.integer("num_hidden_layers", default: 24, in: ConfigReader.layers)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 250_002), width: width, context: context,
            embedding: .init(segments: config.integer("type_vocab_size", default: 1)),
            body: .encoder(.init(inputNorm: norm, layers: Array(repeating: layer, count: layers))),
            head: RoBERTa.head(config, width: width, norm: norm))
    }

    static let prefixes = ["roberta.", "model.", ""]
    static let unprefixed = RoBERTa.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        let layer = "encoder.layers.#"
        let fused = WeightName(
            "\(layer).mixer.Wqkv", .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        return RoBERTa.names(architecture).adding([
            "encoder.inputNorm": "emb_ln",
            "encoder.#.attention.query": fused,
            "encoder.#.attention.key": fused,
            "encoder.#.attention.value": fused,
            "encoder.#.attention.output": WeightName("\(layer).mixer.out_proj"),
            "encoder.#.attention.normAfter": WeightName("\(layer).norm1"),
            "encoder.#.feedForward.up": WeightName("\(layer).mlp.fc1"),
            "encoder.#.feedForward.down": WeightName("\(layer).mlp.fc2"),
            "encoder.#.feedForward.normAfter": WeightName("\(layer).norm2"),
        ])
    }

    /// The names of weights as transformers holds them in memory.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        guard prefixes.contains(where: { tensors[$0 + "layers.0.self_attn.q_proj.weight"] != nil }) else {
            return names(architecture)
        }
        return RoBERTa.names(architecture).adding([
            "encoder.#.attention.query": "layers.#.self_attn.q_proj",
            "encoder.#.attention.key": "layers.#.self_attn.k_proj",
            "encoder.#.attention.value": "layers.#.self_attn.v_proj",
            "encoder.#.attention.output": "layers.#.self_attn.o_proj",
            "encoder.#.attention.normAfter": "layers.#.post_attention_layernorm",
            "encoder.#.feedForward.up": "layers.#.mlp.fc1",
            "encoder.#.feedForward.down": "layers.#.mlp.fc2",
            "encoder.#.feedForward.normAfter": "layers.#.post_mlp_layernorm",
        ])
    }

    static let unused = RoBERTa.unused

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        let fused = WeightName(
            "blk.#.attn_qkv", .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        return GGUFNames.encoder(architecture).adding([
            "encoder.#.attention.query": fused,
            "encoder.#.attention.key": fused,
            "encoder.#.attention.value": fused,
        ])
    }
}
