import MartletFormats
import MartletLayers
import MartletTensors

/// RoBERTa, XLM-RoBERTa and CamemBERT: BERT's layers, positions that begin after the padding token's number, other
/// heads.
///
/// Sources: arXiv:1907.11692, arXiv:1911.02116. The padding token takes no position, also inside a text.
enum RoBERTa: Family {
    static let modelTypes = ["roberta", "xlm-roberta", "camembert"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        config.requireAbsolutePositions()
        return robertaLike(config) { _ in .all }
    }

    /// The architecture that Longformer shares with RoBERTa, but for the reach of its layers.
    static func robertaLike(_ config: ConfigReader, reach: (Int) -> Architecture.Reach) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let offset = config.integer("pad_token_id", default: 1, in: 0...Int(Int32.max)) + 1
        let positions = config.integer("max_position_embeddings", default: 512)
        if positions <= offset { config.reject("\(positions) positions leave none after the padding's \(offset)") }
        let context = max(1, positions - offset)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_265), width: width, context: context,
            embedding: .init(
                segments: config.integer("type_vocab_size", default: 2), tokenWithoutPosition: Int32(offset - 1)),
            body: .encoder(
                .init(
                    positions: .learned(context, offset: offset), inputNorm: norm,
                    layers: config.bertLayers(width: width, norm: norm, reach: reach))),
            head: head(config, width: width, norm: norm))
    }

    static func head(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> Architecture.Head {
        let dense = Architecture.Transform(width: width, activation: .tanh)
        switch config.encoderHead() {
        case .model: return .pooled(dense)
        case .maskedTokens: return .tokens(config.tokenHead(.init(width: width, activation: .gelu, norm: norm)))
        case .sequence: return .sequence(dense, labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    static let prefixes = ["roberta.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "sequence", "sequence.transform", "rows", "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames { BERTNames.encoder.adding(heads) }

    static let heads: WeightNames = [
        "head.transform": "lm_head.dense",
        "head.transform.norm": "lm_head.layer_norm",
        "head.weight": "lm_head.decoder.weight",
        "head.bias": "lm_head.bias",
        "sequence.transform": "classifier.dense",
        "sequence": "classifier.out_proj",
    ]

    static let unused =
        BERTNames.unused + [
            "lm_head.decoder.weight", "lm_head.decoder.bias", "lm_head.bias", "lm_head.dense.weight",
            "lm_head.dense.bias", "lm_head.layer_norm.weight", "lm_head.layer_norm.bias",
        ]
}
