import MartletFormats
import MartletJSON
import MartletLayers
import MartletTensors

/// GTE's encoders (gte-multilingual, gte-v1.5, arctic-embed-m-v2.0): BERT's layers with rotary positions and gated
/// feed-forwards, published with code of their own as `new`.
///
/// Source: arXiv:2407.19669 and the published configurations.
enum GTE: Family {
    static let modelTypes = ["new"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let heads = config.integer("num_attention_heads", default: 12)
        let epsilon = Float(config.number("layer_norm_eps", default: 1e-12))
        let norm: Architecture.Norm = config.choice(
            "layer_norm_type", of: ["layer_norm": .layer(epsilon: epsilon), "rms_norm": .rms(epsilon: epsilon)],
            default: .layer(epsilon: epsilon))
        let context = config.integer("max_position_embeddings", default: 2_048)
        if config.bool("logn_attention_scale", default: false) {
            config.reject("logn_attention_scale is true, but scores that grow with the text are not supported")
        }
        let isRotary = config.choice("position_embedding_type", of: ["rope": true, "absolute": false], default: true)
        let headWidth = config.headWidth(width, heads)
        let rotary = isRotary ? rotary(config, headWidth: headWidth) : nil
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, positions: rotary.map { .rotary($0) } ?? .none, bias: .all)
        let activation = config.activation("hidden_act", default: .gelu)
        let layer = Architecture.Layer(
            norm: norm, arrangement: .after, attention: attention,
            feedForward: .gated(
                hidden: config.integer("intermediate_size", default: 3_072), activation, bias: .down))
        let layers = config.integer("num_hidden_layers", default: 12, in: ConfigReader.layers)
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 30_528), width: width, context: context,
            embedding: .init(segments: config.integer("type_vocab_size", default: 1, in: 0...1 << 20)),
            body: .encoder(
                .init(
                    positions: isRotary ? .none : .learned(context), inputNorm: norm,
                    layers: Array(repeating: layer, count: layers))),
            head: head(config, width: width, activation, epsilon: epsilon))
    }

    private static func rotary(_ config: ConfigReader, headWidth: Int) -> Architecture.Rotary {
        var rotary = Architecture.Rotary(
            width: headWidth, base: Float(config.number("rope_theta", default: 10_000, in: 1...1e30)))
        guard let scaling = config.optionalObject("rope_scaling") else { return rotary }
        let kind = scaling.json("type", "rope_type")?.stringValue ?? ""
        if kind != "ntk" { config.reject("rope_scaling is of type \"\(kind)\", but this model type knows ntk alone") }
        rotary.scaling = .ntk(
            Float(scaling.number("factor", in: 1...1e9)),
            mixed: scaling.optionalNumber("mixed_b", in: 1e-6...1e3).map { Float($0) })
        return rotary
    }

    private static func head(
        _ config: ConfigReader, width: Int, _ activation: Architecture.Activation, epsilon: Float
    ) -> Architecture.Head {
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens, .pretraining:
            return .tokens(
                config.tokenHead(.init(width: width, activation: activation, norm: .layer(epsilon: epsilon))))
        case .sequence: return .sequence(.init(width: width, activation: .tanh), labels: config.labels())
        case .tokens: return .rows(nil, labels: config.labels())
        case .answers: return .answers()
        case .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    /// Settings of how the reference computes, and of training.
    static let harmlessKeys = [
        "pack_qkv", "unpad_inputs", "use_memory_efficient_attention", "classifier_dropout",
    ]

    static let publishedKeys = (["logn_attention_clip1": false] as JSON).objectValue

    static let prefixes = ["new.", ""]
    static let unprefixed = ["head", "head.transform", "head.transform.norm", "sequence", "rows", "answers"]

    static func names(_ architecture: Architecture) -> WeightNames {
        let gates = WeightName(
            "encoder.layer.#.mlp.up_gate_proj", .rows(of: ["up", "gate"].map { "encoder.#.feedForward.\($0)" }))
        let fused = WeightName(
            "encoder.layer.#.attention.qkv_proj",
            .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        return BERT.names(architecture).adding([
            "encoder.#.attention.query": fused,
            "encoder.#.attention.key": fused,
            "encoder.#.attention.value": fused,
            "encoder.#.attention.output": "encoder.layer.#.attention.o_proj",
            "encoder.#.attention.normAfter": "encoder.layer.#.attn_ln",
            "encoder.#.feedForward.gate": gates,
            "encoder.#.feedForward.up": gates,
            "encoder.#.feedForward.down": "encoder.layer.#.mlp.down_proj",
            "encoder.#.feedForward.normAfter": "encoder.layer.#.mlp_ln",
            "head.transform": "lm_head.dense",
            "head.transform.norm": "lm_head.norm",
            "head.weight": "lm_head.decoder.weight",
            "head.bias": "lm_head.decoder.bias",
        ])
    }

    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let end = Array(".attention.q_proj.weight".utf8)
        guard tensors.names.contains(where: { $0.utf8.suffix(end.count).elementsEqual(end) }) else {
            return names(architecture)
        }
        return names(architecture).adding([
            "encoder.#.attention.query": "encoder.layer.#.attention.q_proj",
            "encoder.#.attention.key": "encoder.layer.#.attention.k_proj",
            "encoder.#.attention.value": "encoder.layer.#.attention.v_proj",
        ])
    }

    /// `pack_qkv`.
    static let hasLayoutSetting = true

    static let unused = BERT.unused + ["lm_head.*"]
}
