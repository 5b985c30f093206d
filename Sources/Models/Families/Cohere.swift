import MartletFormats
import MartletLayers
import MartletTensors

/// Command R, R+ and R7B: attention and feed-forward beside each other under one LayerNorm without bias, neighbouring
/// pairs rotated, logits scaled; in R+ a norm for each head of queries and keys. From the second on three of four
/// layers slide, and the fourth has no positions.
///
/// Sources: the configurations of CohereForAI/c4ai-command-r-v01, c4ai-command-r-plus and c4ai-command-r7b-12-2024.
enum Cohere: Family {
    static let modelTypes = ["cohere", "cohere2"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let isSecond = config.string("model_type") == "cohere2"
        var model = LlamaLike(
            config,
            .init(
                vocabulary: 256_000, width: 8_192, hidden: 22_528, layers: 40, heads: 64, context: 8_192,
                epsilon: 1e-5, epsilonKey: "layer_norm_eps", base: isSecond ? 10_000 : 500_000, tied: true)
        ) { .layerWithoutBias(epsilon: $0) }
        model.layer.arrangement = .parallelShared
        model.turnNeighbours()
        model.head.scale = Float(config.number("logit_scale", default: 0.0625, in: 1e-6...1e6))
        guard isSecond else {
            if config.bool("use_qk_norm", default: false) {
                model.layer.attention.queryKeyNorm = model.norm
                model.layer.attention.queryKeyNormSpan = .eachHead
            }
            return model.architecture()
        }
        let window = config.integer(orNull: "sliding_window", absent: 4_096)
        let sliding = model.sliding(
            allBut: config.integer("sliding_window_pattern", "_sliding_window_pattern", default: 4))
        return model.architecture { index, layer in
            guard sliding[index], let window else { return layer.attention.positions = .none }
            layer.attention.reach = .window(window)
        }
    }

    /// The head width is the width over the heads, and the first layer order was never another.
    static let harmlessKeys = [
        "layer_switch", "order_of_interleaved_layers", "position_embedding_type", "rotary_pct", "use_embedding_sharing",
        "use_gated_activation", "use_parallel_block", "use_parallel_embedding",
    ]

    static let prefixes = Llama.prefixes
    static let unused = Llama.unused

    static func names(_ architecture: Architecture) -> WeightNames {
        Llama.names(architecture).adding(
            .headNorms(of: architecture, query: "layers.#.self_attn.q_norm", key: "layers.#.self_attn.k_norm"))
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.decoder.adding(GGUFNames.headNorms(architecture))
    }
}
