import MartletFormats
import MartletLayers
import MartletTensors

/// ModernBERT: pre-norms without biases, gated feed-forwards, rotary positions of two bases; every third layer sees the
/// whole text, the others a window.
///
/// Source: arXiv:2412.13663. The input's norm is the first layer's.
enum ModernBERT: Family {
    static let modelTypes = ["modernbert"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("hidden_size", default: 768)
        let heads = config.integer("num_attention_heads", default: 12)
        let headWidth = config.headWidth(width, heads)
        let context = config.integer("max_position_embeddings", default: 8_192)
        let epsilon = Float(config.number("norm_eps", default: 1e-5))
        let norm: Architecture.Norm =
            config.bool("norm_bias", default: false) ? .layer(epsilon: epsilon) : .layerWithoutBias(epsilon: epsilon)
        let rotaries = rotaries(config, headWidth: headWidth, context: context)
        // The half of the window may be said in place of the whole.
        let whole = config.integer("local_attention", default: 128, in: 0...Int(Int32.max))
        let window = config.optionalInteger("sliding_window", in: 0...Int(Int32.max)) ?? whole / 2
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, positions: .rotary(rotaries.whole),
            bias: config.bool("attention_bias", default: false) ? .all : .none)
        let feedForward = Architecture.FeedForward.gated(
            hidden: config.integer("intermediate_size", default: 1_152),
            config.activation("hidden_activation", default: .gelu),
            bias: .init(config.presence("mlp_bias", default: false)))
        let layers = slidingLayers(config).enumerated().map { index, slides in
            var layer = Architecture.Layer(
                norm: norm, arrangement: index == 0 ? .beforeFeedForward : .before, attention: attention,
                feedForward: feedForward)
            if slides {
                layer.attention.reach = .around(window)
                layer.attention.positions = .rotary(rotaries.window)
            }
            return layer
        }
        return Architecture(
            vocabulary: config.integer("vocab_size", default: 50_368), width: width, context: context,
            body: .encoder(.init(inputNorm: norm, layers: layers, outputNorm: norm)),
            head: head(config, width: width, norm: norm))
    }

    private static func slidingLayers(_ config: ConfigReader) -> [Bool] {
        let layers = config.integer("num_hidden_layers", default: 22, in: ConfigReader.layers)
        let period = config.integer("global_attn_every_n_layers", default: 3)
        return config.slidingLayers(layers) ?? (0..<layers).map { $0 % period != 0 }
    }

    private static func rotaries(
        _ config: ConfigReader, headWidth: Int, context: Int
    ) -> (whole: Architecture.Rotary, window: Architecture.Rotary) {
        let bases = (
            config.number("global_rope_theta", default: 160_000, in: 1...1e30),
            config.number("local_rope_theta", default: 10_000, in: 1...1e30)
        )
        let nested = config.optionalObject("rope_parameters")
        let scaling = config.optionalObject("rope_scaling")
        func rotary(_ name: String, _ base: Double) -> Architecture.Rotary {
            (nested?.optionalObject(name) ?? scaling)?.nestedRotary(headWidth: headWidth, context: context, base: base)
                ?? .init(width: headWidth, base: Float(base))
        }
        return (rotary("full_attention", bases.0), rotary("sliding_attention", bases.1))
    }

    private static func head(_ config: ConfigReader, width: Int, norm: Architecture.Norm) -> Architecture.Head {
        let bias = config.presence("classifier_bias", default: false)
        let dense = Architecture.Transform(
            width: width, activation: config.activation("classifier_activation", default: .gelu), norm: norm, bias: bias
        )
        let row: Architecture.SequenceRow = config.choice(
            "classifier_pooling", of: ["cls": .first, "mean": .mean], default: .first)
        let decoderBias = config.bool("decoder_bias", default: true)
        switch config.encoderHead() {
        case .model: return .none
        case .maskedTokens:
            var tokens = config.tokenHead(dense)
            if !decoderBias { tokens.bias = .absent }
            return .tokens(tokens)
        case .sequence:
            return .sequence(GGUFHead.hasTransform(config) ? dense : nil, labels: config.labels(), from: row)
        case .tokens: return .rows(dense, labels: config.labels())
        case .answers: return .answers(dense)
        case .pretraining, .nextSentence:
            config.reject("architectures names a head that this family does not have")
            return .none
        }
    }

    /// Keys that say how kernels are chosen, how weights began, and which logits training needs.
    static let harmlessKeys = [
        "deterministic_flash_attn", "reference_compile", "initializer_cutoff_factor", "sparse_prediction",
        "sparse_pred_ignore_index", "repad_logits_with_grad", "cls_token_id", "sep_token_id", "position_embedding_type",
        "layer_norm_eps",
    ]

    static let prefixes = ["model.", ""]
    static let unprefixed = [
        "head", "head.transform", "head.transform.norm", "sequence", "sequence.transform", "sequence.transform.norm",
        "rows", "rows.transform", "rows.transform.norm", "answers", "answers.transform", "answers.transform.norm",
    ]

    static func names(_ architecture: Architecture) -> WeightNames {
        let projections = WeightName(
            "layers.#.attn.Wqkv", .rows(of: ["query", "key", "value"].map { "encoder.#.attention.\($0)" }))
        let gates = WeightName("layers.#.mlp.Wi", .rows(of: ["gate", "up"].map { "encoder.#.feedForward.\($0)" }))
        var names: WeightNames = [
            "tokens": "embeddings.tok_embeddings",
            "encoder.inputNorm": "embeddings.norm",
            "encoder.#.attention.normBefore": "layers.#.attn_norm",
            "encoder.#.attention.query": projections,
            "encoder.#.attention.key": projections,
            "encoder.#.attention.value": projections,
            "encoder.#.attention.output": "layers.#.attn.Wo",
            "encoder.#.feedForward.normBefore": "layers.#.mlp_norm",
            "encoder.#.feedForward.gate": gates,
            "encoder.#.feedForward.up": gates,
            "encoder.#.feedForward.down": "layers.#.mlp.Wo",
            "encoder.outputNorm": "final_norm",
            "head": "decoder",
            "sequence": "classifier",
            "rows": "classifier",
            "answers": "classifier",
        ]
        for head in ["head", "sequence", "rows", "answers"] {
            names = names.adding(["\(head).transform": "head.dense", "\(head).transform.norm": "head.norm"])
        }
        return names
    }

    static let unused = ["decoder.weight", "decoder.bias", "head.dense.weight", "head.dense.bias", "head.norm.weight"]

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        func fused(_ name: String, _ parts: [String]) -> WeightName {
            WeightName(name, .rows(of: parts.map { "encoder.#.\($0)" }))
        }
        let projections = fused("blk.#.attn_qkv", ["query", "key", "value"].map { "attention.\($0)" })
        let gates = fused("blk.#.ffn_up", ["feedForward.gate", "feedForward.up"])
        return GGUFNames.encoder(architecture).adding([
            "encoder.#.attention.normBefore": "blk.#.attn_norm",
            "encoder.#.attention.query": projections,
            "encoder.#.attention.key": projections,
            "encoder.#.attention.value": projections,
            "encoder.#.feedForward.normBefore": "blk.#.ffn_norm",
            "encoder.#.feedForward.gate": gates,
            "encoder.#.feedForward.up": gates,
            "encoder.outputNorm": "output_norm",
        ])
    }
}
