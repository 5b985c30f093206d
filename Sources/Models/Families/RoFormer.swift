import MartletFormats
import MartletLayers
import MartletTensors

/// RoFormer: BERT with rotary positions over neighbouring pairs, and token vectors that may be narrower than the
/// layers.
///
/// Source: arXiv:2104.09864.
enum RoFormer: Family {
    static let modelTypes = ["roformer"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let embedding = config.optionalInteger("embedding_size") ?? width
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let context = config.integer("max_position_embeddings", default: 1_536)
        var layers = config.bertLayers(width: width, norm: norm)
        let turnsValues = config.presence("rotary_value", default: false)
        for index in layers.indices {
            layers[index].attention.valueRotation = turnsValues
            layers[index].attention.positions = .rotary(
                .init(width: layers[index].attention.headWidth, base: 10_000, pairing: .neighbours))
        }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_000), width: width, context: context,
            embedding: .init(
                segments: config.integer("type_vocab_size", default: 2),
                factorised: embedding == width ? nil : .init(width: embedding, bias: .present)),
            body: .encoder(.init(inputNorm: norm, layers: layers)),
            head: head(config, width: width, embedding: embedding, norm: norm))
    }

    private static func head(
        _ config: ConfigReader, width: Int, embedding: Int, norm: Architecture.Norm
    ) -> Architecture.Head {
        let activation = config.activation("hidden_act", default: .gelu)
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens:
            return .tokens(config.tokenHead(.init(width: embedding, activation: activation, norm: norm)))
        case .sequence: return .sequence(.init(width: width, activation: activation), labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    static let prefixes = ["roformer.", ""]
    static let unprefixed = RoBERTa.unprefixed

    static func names(_ architecture: Architecture) -> WeightNames {
        BERT.names(architecture).adding([
            "encoder.projection": "embeddings_project",
            "sequence.transform": "classifier.dense",
            "sequence": "classifier.out_proj",
        ])
    }

    /// Sines that are computed.
    static let unused = BERT.unused + ["encoder.embed_positions.weight"]
}
