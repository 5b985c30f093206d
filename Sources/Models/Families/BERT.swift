import MartletFormats
import MartletLayers
import MartletTensors

/// BERT, and ERNIE with its table of tasks: post-LayerNorm, learned positions, segments, and a dense layer in front of
/// most heads.
///
/// Source: arXiv:1810.04805; field names and defaults as in the published `config.json`.
enum BERT: Family {
    static let modelTypes = ["bert", "ernie"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let context = config.integer("max_position_embeddings", default: 512)
        config.requireAbsolutePositions()
        let layers = config.bertLayers(width: width, norm: norm)
        var embedding = Architecture.Embedding(segments: config.integer("type_vocab_size", default: 2, in: 0...1 << 20))
        if config.string("model_type") == "ernie" {
            let tasks = config.integer("task_type_vocab_size", default: 3)
            if config.bool("use_task_id", default: false) { embedding.tasks = tasks }
        }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_522), width: width, context: context,
            embedding: embedding,
            body: .encoder(.init(positions: .learned(context), inputNorm: norm, layers: layers)),
            head: head(config, width: width, norm: norm))
    }

    static func head(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> Architecture.Head {
        let pooler = Architecture.Transform(width: width, activation: .tanh)
        func tokens() -> Architecture.TokenHead {
            let activation = config.activation("hidden_act", default: .gelu)
            return config.tokenHead(.init(width: width, activation: activation, norm: norm))
        }
        return switch config.encoderHead() {
        case .model: .pooled(pooler)
        case .maskedTokens: .tokens(tokens())
        case .pretraining: .pretraining(tokens(), pooler)
        case .nextSentence: .nextSentence(pooler)
        case .sequence: .sequence(GGUFHead.hasTransform(config) ? pooler : nil, labels: config.labels())
        case .tokens: .rows(nil, labels: config.labels())
        case .answers: .answers()
        }
    }

    static let prefixes = ["bert.", "ernie.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "nextSentence", "sequence", "rows", "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames {
        BERTNames.encoder.adding([
            "head.transform": "cls.predictions.transform.dense",
            "head.transform.norm": "cls.predictions.transform.LayerNorm",
            "head.weight": "cls.predictions.decoder.weight",
            "head.bias": "cls.predictions.bias",
            "nextSentence.transform": "pooler.dense",
            "nextSentence": "cls.seq_relationship",
            "sequence.transform": "pooler.dense",
            "sequence": "classifier",
        ])
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        GGUFNames.encoder(architecture)
    }

    /// The heads of pre-training, which stay in checkpoints that are read for something else.
    static let unused =
        BERTNames.unused + [
            "cls.seq_relationship.weight", "cls.seq_relationship.bias", "cls.predictions.decoder.weight",
            "cls.predictions.decoder.bias", "cls.predictions.bias", "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.dense.bias", "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.bias", "cls.predictions.transform.LayerNorm.gamma",
            "cls.predictions.transform.LayerNorm.beta",
        ]
}
