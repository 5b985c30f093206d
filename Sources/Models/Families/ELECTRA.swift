import MartletFormats
import MartletLayers
import MartletTensors

/// ELECTRA: BERT's layers, token vectors of a width of their own, and a head that tells replaced tokens.
///
/// Source: arXiv:2003.10555. The generator of its training is the same with a projection to the vocabulary.
enum ELECTRA: Family {
    static let modelTypes = ["electra"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 256)
        let embedding = config.integer("embedding_size", default: 128)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let context = config.integer("max_position_embeddings", default: 512)
        config.requireAbsolutePositions()
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_522), width: width, context: context,
            embedding: .init(
                segments: config.integer("type_vocab_size", default: 2),
                factorised: embedding == width ? nil : .init(width: embedding, bias: .present)),
            body: .encoder(
                .init(
                    positions: .learned(context), inputNorm: norm,
                    layers: config.bertLayers(width: width, norm: norm))),
            head: head(config, width: width, embedding: embedding, norm: norm))
    }

    private static func head(
        _ config: ConfigReader, width: Int, embedding: Int, norm: Architecture.Norm
    ) -> Architecture.Head {
        switch config.encoderHead() {
        case .model: return .none
        case .pretraining:
            return .rows(.init(width: width, activation: config.activation("hidden_act", default: .gelu)), labels: 1)
        case .maskedTokens:
            return .tokens(config.tokenHead(.init(width: embedding, activation: .gelu, norm: norm)))
        case .sequence: return .sequence(.init(width: width, activation: .gelu), labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    /// Keys of a summary that only its multiple-choice head makes.
    static let harmlessKeys = ["summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"]

    static let prefixes = ["electra.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "sequence", "sequence.transform", "rows", "rows.transform",
        "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames {
        let names = BERTNames.encoder.adding([
            "encoder.projection": "embeddings_project",
            "head.transform": "generator_predictions.dense",
            "head.transform.norm": "generator_predictions.LayerNorm",
            "head": "generator_lm_head",
            "sequence.transform": "classifier.dense",
            "sequence": "classifier.out_proj",
            "rows.transform": "discriminator_predictions.dense",
        ])
        guard case .rows(.some, _) = architecture.head else { return names }
        return names.adding(["rows": "discriminator_predictions.dense_prediction"])
    }

    static let unused =
        BERTNames.unused + [
            "generator_lm_head.weight", "generator_lm_head.bias", "discriminator_predictions.dense.weight",
            "discriminator_predictions.dense.bias", "discriminator_predictions.dense_prediction.weight",
            "discriminator_predictions.dense_prediction.bias",
        ]
}
