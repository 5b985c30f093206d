import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// DeBERTa v1 to v3: BERT's layers with disentangled attention, and in the larger v2 models a convolution beside the
/// first layer. The first has neither buckets nor shared projections, no biases of keys, and query, key and value head
/// by head in one matrix.
///
/// Sources: arXiv:2006.03654, arXiv:2111.09543. Every product of scores is divided by √(headWidth · number of
/// products).
enum DeBERTa: Family {
    static let modelTypes = ["deberta-v2", "deberta"]

    private static func isFirst(_ config: ConfigReader) -> Bool { config.string("model_type") == "deberta" }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: isFirst(config) ? 768 : 1_536)
        let norm = Architecture.Norm.layer(epsilon: Float(config.number("layer_norm_eps", default: 1e-7)))
        let positions = config.integer("max_position_embeddings", default: 512)
        let biased = config.bool("position_biased_input", default: true)
        let embedding = config.integer("embedding_size", default: width)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: isFirst(config) ? 50_265 : 128_100), width: width,
            context: biased ? positions : nil,
            embedding: .init(
                segments: config.integer("type_vocab_size", default: 0, in: 0...Int(Int32.max)),
                factorised: embedding == width
                    ? nil : .init(width: embedding, bias: .absent, order: .projectionThenNorm)),
            body: .encoder(
                .init(
                    positions: biased ? .learned(positions) : .none, inputNorm: norm,
                    layers: layers(config, width: width, norm: norm, positions: positions),
                    convolution: isFirst(config) ? nil : convolution(config, norm))),
            head: head(config, width: width, norm: norm))
    }

    private static func layers(
        _ config: ConfigReader, width: Int, norm: Architecture.Norm, positions: Int
    ) -> [Architecture.Layer] {
        let disentangled = disentangled(config, norm: norm, positions: positions)
        // The reference counts the products that are named, whether they are added or not.
        let products: Float = terms(config).map { $0 == .both ? 3 : 2 } ?? 1
        var layers = config.bertLayers(width: width, norm: norm)
        let first = isFirst(config)
        if first, config.bool("talking_head", default: false) {
            config.reject("talking_head mixes the scores of heads, which is not supported")
        }
        let headWidth = first ? nil : config.optionalInteger("attention_head_size")
        for index in layers.indices {
            if let headWidth { layers[index].attention.headWidth = headWidth }
            if first { layers[index].attention.bias = .allButKey }
            layers[index].attention.scale = 1 / (Float(layers[index].attention.headWidth) * products).squareRoot()
            layers[index].attention.positions = disentangled.map { .disentangled($0) } ?? .none
        }
        return layers
    }

    private static func disentangled(
        _ config: ConfigReader, norm: Architecture.Norm, positions: Int
    ) -> Architecture.Disentangled? {
        if isFirst(config) { return firstDisentangled(config, positions: positions) }
        let range = -1...1_048_576
        let buckets = config.integer("position_buckets", default: -1, in: range)
        let farthest = config.integer("max_relative_positions", default: -1, in: range)
        let shared = config.bool("share_att_key", default: false)
        let norms = config.string("norm_rel_ebd", default: "none").split(separator: "|").map { $0.filter { $0 != " " } }
        if let unknown = norms.first(where: { $0 != "none" && $0 != "layer_norm" }) {
            config.reject("norm_rel_ebd names \(unknown), but only layer_norm and none are known")
        }
        let terms = terms(config)
        guard config.bool("relative_attention", default: false), let terms else { return nil }
        return .init(
            buckets: buckets > 0 ? buckets : nil, farthest: farthest > 0 ? farthest : min(positions, 1_048_576),
            terms: terms,
            projections: shared ? .shared : .own, norm: norms.contains("layer_norm") ? norm : nil)
    }

    private static func firstDisentangled(_ config: ConfigReader, positions: Int) -> Architecture.Disentangled? {
        let farthest = config.integer("max_relative_positions", default: -1, in: -1...1_048_576)
        let terms = terms(config)
        guard config.bool("relative_attention", default: false), let terms else { return nil }
        return .init(
            buckets: nil, farthest: farthest > 0 ? farthest : min(positions, 1_048_576), terms: terms,
            projections: .own,
            norm: nil)
    }

    /// `pos_att_type` is a list, or in one string with bars.
    private static func terms(_ config: ConfigReader) -> Architecture.Disentangled.Terms? {
        let json = config.json("pos_att_type")
        let names =
            json?.arrayValue?.compactMap(\.stringValue)
            ?? (json?.stringValue ?? "").split(separator: "|").map(String.init)
        if let unknown = names.first(where: { $0 != "c2p" && $0 != "p2c" }) {
            config.reject("pos_att_type names \(unknown), but only c2p and p2c are known")
        }
        switch (names.contains("c2p"), names.contains("p2c")) {
        case (true, true): return .both
        case (true, false): return .contentToPosition
        case (false, true): return .positionToContent
        case (false, false): return nil
        }
    }

    private static func convolution(_ config: ConfigReader, _ norm: Architecture.Norm) -> Architecture.Convolution? {
        let size = config.integer("conv_kernel_size", default: 0, in: 0...1_001)
        let activation = config.activation("conv_act", default: .tanh)
        let groups = config.integer("conv_groups", default: 1)
        guard size > 0 else { return nil }
        if size % 2 == 0 {
            config.reject("conv_kernel_size is \(size), but a row stands in the middle of its neighbours")
        }
        if groups != 1 { config.reject("conv_groups is \(groups); only 1 is supported") }
        return .init(size: size, activation: activation, norm: norm)
    }

    private static func head(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> Architecture.Head {
        let pooler = Architecture.Transform(
            width: config.integer("pooler_hidden_size", default: width),
            activation: config.activation("pooler_hidden_act", default: .gelu))
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens:
            let activation = config.activation("hidden_act", default: .gelu)
            let tokenWidth = config.integer("embedding_size", default: width)
            var tokens = config.tokenHead(.init(width: tokenWidth, activation: activation, norm: norm))
            // The newer head multiplies by the token table, whatever is said of ties.
            if !config.bool("legacy", default: true) { tokens.weights = .tied }
            return .tokens(tokens)
        case .sequence: return .sequence(pooler, labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    /// Keys that say which of two spellings the masked-token head has, which the tensors say too, and those of dropout
    /// and pooling.
    static let harmlessKeys = ["legacy", "pooler_dropout", "pooler_size", "cls_dropout"]

    static let prefixes = ["deberta.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "sequence", "sequence.transform", "rows", "answers",
    ]

    static func names(_ architecture: Architecture) -> WeightNames {
        guard case .encoder(let stack) = architecture.body, let attention = stack.layers.first?.attention,
            attention.bias == .allButKey
        else { return laterNames }
        let own = "encoder.layer.#.attention.self"
        let parts = ["query", "key", "value"].map { "encoder.#.attention.\($0).weight" }
        let fused = WeightName("\(own).in_proj.weight", .rows(of: parts, groups: attention.queryHeads))
        return laterNames.adding([
            "encoder.#.attention.query.weight": fused,
            "encoder.#.attention.key.weight": fused,
            "encoder.#.attention.value.weight": fused,
            "encoder.#.attention.query.bias": WeightName("\(own).q_bias"),
            "encoder.#.attention.value.bias": WeightName("\(own).v_bias"),
            "encoder.#.attention.positionKey": WeightName("\(own).pos_proj"),
            "encoder.#.attention.positionQuery": WeightName("\(own).pos_q_proj"),
        ])
    }

    private static let laterNames: WeightNames = {
        BERTNames.encoder.adding([
            "encoder.#.attention.query": "encoder.layer.#.attention.self.query_proj",
            "encoder.#.attention.key": "encoder.layer.#.attention.self.key_proj",
            "encoder.#.attention.value": "encoder.layer.#.attention.self.value_proj",
            "encoder.#.attention.positionKey": "encoder.layer.#.attention.self.pos_key_proj",
            "encoder.#.attention.positionQuery": "encoder.layer.#.attention.self.pos_query_proj",
            "encoder.relative": "encoder.rel_embeddings",
            "encoder.relative.norm": "encoder.LayerNorm",
            "encoder.projection": "embeddings.embed_proj",
            "encoder.convolution": "encoder.conv.conv",
            "encoder.convolution.norm": "encoder.conv.LayerNorm",
            "head.transform": "cls.predictions.transform.dense",
            "head.transform.norm": "cls.predictions.transform.LayerNorm",
            "head.weight": "cls.predictions.decoder.weight",
            "head.bias": "cls.predictions.bias",
            "sequence.transform": "pooler.dense",
            "sequence": "classifier",
        ])
    }()

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        guard tensors["lm_predictions.lm_head.bias"] != nil else { return names(architecture) }
        return names(architecture).adding([
            "head.transform": "lm_predictions.lm_head.dense",
            "head.transform.norm": "lm_predictions.lm_head.LayerNorm",
            "head.bias": "lm_predictions.lm_head.bias",
        ])
    }

    /// The heads and the second decoder of pre-training, which stay in published checkpoints.
    static let unused =
        BERTNames.unused + [
            "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias",
            "cls.predictions.transform.dense.weight", "cls.predictions.transform.dense.bias",
            "cls.predictions.transform.LayerNorm.weight", "cls.predictions.transform.LayerNorm.bias",
            "lm_predictions.lm_head.bias", "lm_predictions.lm_head.dense.weight", "lm_predictions.lm_head.dense.bias",
            "lm_predictions.lm_head.LayerNorm.weight", "lm_predictions.lm_head.LayerNorm.bias",
            "mask_predictions.dense.weight", "mask_predictions.dense.bias", "mask_predictions.LayerNorm.weight",
            "mask_predictions.LayerNorm.bias", "mask_predictions.classifier.weight", "mask_predictions.classifier.bias",
        ]
}
