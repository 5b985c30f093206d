import MartletFormats
import MartletLayers
import MartletTensors

/// DistilBERT: BERT's layers under other names, without segments and pooler.
///
/// Source: arXiv:1910.01108. `sinusoidal_pos_embds` says how positions were filled once; checkpoints hold them either
/// way.
enum DistilBERT: Family {
    static let modelTypes = ["distilbert"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("dim", "hidden_size", default: 768)
        let heads = config.integer("n_heads", "num_attention_heads", default: 12)
        let headWidth = config.headWidth(width, heads)
        let norm = Architecture.Norm.layer(epsilon: 1e-12)
        let activation = config.activation("activation", default: .gelu)
        let context = config.integer("max_position_embeddings", default: 512)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .after,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
                reach: .all, bias: .all),
            feedForward: .plain(hidden: config.integer("hidden_dim", default: 3_072), activation, bias: .present))
        let layers = config.integer("n_layers", "num_hidden_layers", default: 6, in: ConfigReader.layers)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_522), width: width, context: context,
            body: .encoder(
                .init(
                    positions: .learned(context), inputNorm: norm, layers: Array(repeating: layer, count: layers))),
            head: head(config, width: width, norm: norm, activation))
    }

    private static func head(
        _ config: ConfigReader, width: Int, norm: Architecture.Norm, _ activation: Architecture.Activation
    ) -> Architecture.Head {
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens: return .tokens(config.tokenHead(.init(width: width, activation: activation, norm: norm)))
        case .sequence: return .sequence(.init(width: width, activation: .relu), labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    static let harmlessKeys = ["sinusoidal_pos_embds", "tie_weights_", "qa_dropout", "seq_classif_dropout"]

    static let prefixes = ["distilbert.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "sequence", "sequence.transform", "rows", "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames {
        [
            "tokens": "embeddings.word_embeddings",
            "encoder.positions": "embeddings.position_embeddings",
            "encoder.inputNorm": "embeddings.LayerNorm",
            "encoder.#.attention.query": "transformer.layer.#.attention.q_lin",
            "encoder.#.attention.key": "transformer.layer.#.attention.k_lin",
            "encoder.#.attention.value": "transformer.layer.#.attention.v_lin",
            "encoder.#.attention.output": "transformer.layer.#.attention.out_lin",
            "encoder.#.attention.normAfter": "transformer.layer.#.sa_layer_norm",
            "encoder.#.feedForward.up": "transformer.layer.#.ffn.lin1",
            "encoder.#.feedForward.down": "transformer.layer.#.ffn.lin2",
            "encoder.#.feedForward.normAfter": "transformer.layer.#.output_layer_norm",
            "head.transform": "vocab_transform",
            "head.transform.norm": "vocab_layer_norm",
            "head": "vocab_projector",
            "sequence.transform": "pre_classifier",
            "sequence": "classifier",
            "rows": "classifier",
            "answers": "qa_outputs",
        ]
    }

    static let unused = [
        "embeddings.position_ids", "vocab_projector.weight", "vocab_projector.bias", "vocab_transform.weight",
        "vocab_transform.bias", "vocab_layer_norm.weight", "vocab_layer_norm.bias",
    ]
}
