import MartletFormats
import MartletLayers
import MartletTensors

/// ALBERT: BERT's layers with token vectors narrower than the layers, and few sets of weights used again and again.
///
/// Source: arXiv:1909.11942. A group is `inner_group_num` layers with weights of their own; `num_hidden_layers` runs
/// through the groups share them.
enum ALBERT: Family {
    static let modelTypes = ["albert"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 4_096)
        let embedding = config.integer("embedding_size", default: 128)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-12)))
        let context = config.integer("max_position_embeddings", default: 512)
        config.requireAbsolutePositions()
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_000), width: width, context: context,
            embedding: .init(
                segments: config.integer("type_vocab_size", default: 2),
                factorised: .init(width: embedding, bias: .present)),
            body: .encoder(
                .init(
                    positions: .learned(context), inputNorm: norm, layers: layers(config, width: width, norm: norm))),
            head: head(config, width: width, embedding: embedding, norm: norm))
    }

    /// Every run through a group stands for itself and says whose weights it uses.
    private static func layers(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> [Architecture.Layer] {
        let heads = config.integer("num_attention_heads", default: 64)
        let headWidth = config.headWidth(width, heads)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .after,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
                reach: .all, bias: .all),
            feedForward: .plain(
                hidden: config.integer("intermediate_size", default: 16_384),
                config.activation("hidden_act", default: .geluTanh), bias: .present))
        let runs = config.integer("num_hidden_layers", default: 12, in: ConfigReader.layers)
        let groups = config.integer("num_hidden_groups", default: 1, in: ConfigReader.layers)
        let inner = config.integer("inner_group_num", default: 1, in: 1...64)
        guard runs.multipliedReportingOverflow(by: inner).partialValue <= 100_000 else {
            config.reject("\(runs) layers of \(inner) each are too many")
            return []
        }
        var firstRun: [Int: Int] = [:]
        return (0..<runs * inner).map { index in
            let run = index / inner
            let first = firstRun[run * groups / runs] ?? run
            firstRun[run * groups / runs] = first
            var layer = layer
            if first < run { layer.sharesParametersOf = first * inner + index % inner }
            return layer
        }
    }

    private static func head(
        _ config: ConfigReader, width: Int, embedding: Int, norm: Architecture.Norm
    ) -> Architecture.Head {
        let pooler = Architecture.Transform(width: width, activation: .tanh)
        func tokens() -> Architecture.TokenHead {
            let activation = config.activation("hidden_act", default: .geluTanh)
            return config.tokenHead(.init(width: embedding, activation: activation, norm: norm))
        }
        switch config.encoderHead() {
        case .model: return .pooled(pooler)
        case .maskedTokens: return .tokens(tokens())
        case .pretraining: return .pretraining(tokens(), pooler)
        case .sequence: return .sequence(pooler, labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    /// Keys of a predecessor that was never published.
    static let harmlessKeys = ["down_scale_factor", "gap_size", "net_structure_type", "num_memory_blocks"]

    static let prefixes = ["albert.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "nextSentence", "sequence", "rows", "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames { names(architecture, inner: nil) }

    /// The names of weights as stored: where no layers share, only the tensors tell how many make a group.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        func isStored(_ inner: Int) -> Bool {
            prefixes.contains { prefix in
                tensors[prefix + "encoder.albert_layer_groups.0.albert_layers.\(inner).ffn.weight"] != nil
            }
        }
        return names(architecture, inner: (0...tensors.count).first { !isStored($0) })
    }

    private static func names(_ architecture: Architecture, inner stored: Int?) -> WeightNames {
        var names: WeightNames = [
            "tokens": "embeddings.word_embeddings",
            "encoder.positions": "embeddings.position_embeddings",
            "encoder.segments": "embeddings.token_type_embeddings",
            "encoder.inputNorm": "embeddings.LayerNorm",
            "encoder.projection": "encoder.embedding_hidden_mapping_in",
            "head.transform": "predictions.dense",
            "head.transform.norm": "predictions.LayerNorm",
            "head.weight": "predictions.decoder.weight",
            "head.bias": "predictions.bias",
            "pooled.transform": "pooler",
            "nextSentence.transform": "pooler",
            "nextSentence": "sop_classifier.classifier",
            "sequence.transform": "pooler",
            "sequence": "classifier",
            "rows": "classifier",
            "answers": "qa_outputs",
        ]
        guard case .encoder(let stack) = architecture.body else { return names }
        let inner = max(1, stored ?? innerCount(stack))
        let owners = stack.layers.indices.filter { stack.layers[$0].sharesParametersOf == nil }
        for (number, index) in owners.enumerated() {
            let place = "encoder.albert_layer_groups.\(number / inner).albert_layers.\(number % inner)"
            names = names.adding(layerNames(index, place))
        }
        return names
    }

    /// The number of layers of a group: how far the first one that shares looks back; all when none does.
    private static func innerCount(_ stack: Architecture.Stack) -> Int {
        for (index, layer) in stack.layers.enumerated() {
            if let owner = layer.sharesParametersOf { return index - owner }
        }
        return stack.layers.count
    }

    private static func layerNames(_ index: Int, _ place: String) -> WeightNames {
        [
            "encoder.\(index).attention.query": WeightName("\(place).attention.query"),
            "encoder.\(index).attention.key": WeightName("\(place).attention.key"),
            "encoder.\(index).attention.value": WeightName("\(place).attention.value"),
            "encoder.\(index).attention.output": WeightName("\(place).attention.dense"),
            "encoder.\(index).attention.normAfter": WeightName("\(place).attention.LayerNorm"),
            "encoder.\(index).feedForward.up": WeightName("\(place).ffn"),
            "encoder.\(index).feedForward.down": WeightName("\(place).ffn_output"),
            "encoder.\(index).feedForward.normAfter": WeightName("\(place).full_layer_layer_norm"),
        ]
    }

    static let unused = [
        "embeddings.position_ids", "pooler.weight", "pooler.bias", "predictions.decoder.weight",
        "predictions.decoder.bias", "predictions.bias", "predictions.dense.weight", "predictions.dense.bias",
        "predictions.LayerNorm.weight", "predictions.LayerNorm.bias", "sop_classifier.classifier.weight",
        "sop_classifier.classifier.bias",
    ]
}
