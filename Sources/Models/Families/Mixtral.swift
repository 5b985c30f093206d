import MartletFormats
import MartletLayers
import MartletTensors

/// Mixtral: Mistral's layers with a mixture of experts in place of the feed-forward.
///
/// Source: arXiv:2401.04088.
enum Mixtral: Family {
    static let modelTypes = ["mixtral"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 4_096)
        let heads = config.integer("num_attention_heads", default: 32)
        let headWidth = config.optionalInteger("head_dim") ?? width / heads
        let context = config.integer("max_position_embeddings", default: 131_072)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-5)))
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: config.integer(orNull: "num_key_value_heads", absent: 8) ?? heads,
            headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: config.optionalInteger("sliding_window").map { .window($0) } ?? .past,
            positions: .rotary(config.rotary(headWidth: headWidth, context: context, base: 1e6)))
        let experts = Architecture.Experts(
            count: config.integer("num_local_experts", default: 8, in: ConfigReader.experts),
            active: config.integer("num_experts_per_tok", default: 2),
            hidden: config.integer("intermediate_size", default: 14_336),
            activation: config.activation("hidden_act", default: .silu), routing: .renormalised)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .before, attention: attention, feedForward: .experts(experts))
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 32_000), width: width,
            context: attention.positions.isUnbounded ? nil : context,
            body: .decoder(
                .init(
                    layers: Array(
                        repeating: layer,
                        count: config.integer("num_hidden_layers", default: 32, in: ConfigReader.layers)),
                    outputNorm: norm)),
            head: config.decoderHead(config.tokenHead(tied: false)))
    }

    static let prefixes = Llama.prefixes

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding([
            "decoder.#.feedForward.router": "layers.#.block_sparse_moe.gate",
            "decoder.#.feedForward.experts.##.gate": "layers.#.block_sparse_moe.experts.##.w1",
            "decoder.#.feedForward.experts.##.up": "layers.#.block_sparse_moe.experts.##.w3",
            "decoder.#.feedForward.experts.##.down": "layers.#.block_sparse_moe.experts.##.w2",
        ])
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        names(architecture).adding(FusedExperts.names(architecture, storedAs: tensors))
    }

    static let unused = Llama.unused

    /// A GGUF calls it `llama`, and orders the rows of queries and keys as for Llama.
    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        Llama.ggufNames(architecture, modelType: "llama").adding(GGUFNames.experts(architecture))
    }
}
