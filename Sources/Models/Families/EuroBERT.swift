import MartletFormats
import MartletLayers
import MartletTensors

/// EuroBERT: Llama's layers, whose rows see one another both ways.
///
/// Source: arXiv:2503.05500.
enum EuroBERT: Family {
    static let modelTypes = ["eurobert"]

    private static let vocabulary = 128_256

    static func architecture(_ config: ConfigReader) -> Architecture {
        var model = LlamaLike(
            config,
            .init(
                vocabulary: vocabulary, width: 768, hidden: 3_072, layers: 12, heads: 12, context: 8_192,
                epsilon: 1e-5, feedForwardBiasKey: "mlp_bias"))
        model.layer.attention.reach = .all
        return Architecture(
            vocabulary: config.integer("vocab_size", default: vocabulary), width: model.width, context: model.context,
            body: .encoder(
                .init(layers: Array(repeating: model.layer, count: model.layers), outputNorm: model.norm)),
            head: head(config, width: model.width))
    }

    private static func head(_ config: ConfigReader, width: Int) -> Architecture.Head {
        let row: Architecture.SequenceRow = config.choice(
            "classifier_pooling", of: ["bos": .first, "mean": .mean, "late": .meanOfLabels], default: .meanOfLabels)
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens:
            var head = config.tokenHead(tied: false)
            // One setting for the biases of the feed-forwards and of the logits.
            head.bias = config.bool("mlp_bias", default: false) ? .present : .absent
            return .tokens(head)
        case .sequence: return .sequence(.init(width: width, activation: .gelu), labels: config.labels(), from: row)
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers, .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    static let harmlessKeys = ["pretraining_tp"]

    static let prefixes = ["model.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        [
            "tokens": "embed_tokens",
            "encoder.#.attention.normBefore": "layers.#.input_layernorm",
            "encoder.#.attention.query": "layers.#.self_attn.q_proj",
            "encoder.#.attention.key": "layers.#.self_attn.k_proj",
            "encoder.#.attention.value": "layers.#.self_attn.v_proj",
            "encoder.#.attention.output": "layers.#.self_attn.o_proj",
            "encoder.#.feedForward.normBefore": "layers.#.post_attention_layernorm",
            "encoder.#.feedForward.gate": "layers.#.mlp.gate_proj",
            "encoder.#.feedForward.up": "layers.#.mlp.up_proj",
            "encoder.#.feedForward.down": "layers.#.mlp.down_proj",
            "encoder.outputNorm": "norm",
            "head": "lm_head",
            "sequence.transform": "dense",
            "sequence": "classifier",
            "rows": "classifier",
        ]
    }

    /// Heads that the published checkpoints carry beside the bare model.
    static let unused = ["lm_head.weight", "lm_head.bias"]

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.encoder(architecture).adding([
            "encoder.#.attention.normBefore": "blk.#.attn_norm",
            "encoder.#.feedForward.normBefore": "blk.#.ffn_norm",
            "encoder.outputNorm": "output_norm",
        ])
    }
}
