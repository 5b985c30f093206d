import MartletFormats
import MartletLayers
import MartletTensors

/// T5, its version 1.1, Flan-T5, mT5, umT5 and LongT5: pre-RMSNorm, bucketed distances, unscaled scores, no biases.
///
/// Sources: arXiv:1910.10683, arXiv:2002.05202, arXiv:2210.11416, arXiv:2010.11934, arXiv:2112.07916 (LongT5). A tied
/// head's logits are multiplied by width^-½, except in mT5; version 1.1 has a head of its own, which its
/// `tie_word_embeddings` (or, as transformers 5 writes, `scale_decoder_outputs`) tells. Where the file has none, the
/// head is the token table, unscaled.
enum T5: Family {
    static let modelTypes = ["t5", "mt5", "umt5", "longt5"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let modelType = config.string("model_type")
        let isMultilingual = modelType == "mt5" || modelType == "umt5"
        let width = config.integer("d_model", "hidden_size", default: 512)
        let layers = config.integer(
            "num_layers", "num_hidden_layers", default: isMultilingual ? 8 : 6, in: ConfigReader.layers)
        let vocabulary = config.integer("vocab_size", default: isMultilingual ? 250_112 : 32_128)
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-6)))
        let tokens = tokenHead(config, modelType, width: width)
        let (encoder, decoder) = layerForms(config, modelType, isMultilingual: isMultilingual, norm: norm)
        let depth = config.integer("num_decoder_layers", default: layers, in: ConfigReader.layers)
        let reader = Architecture.Stack(layers: Array(repeating: encoder, count: layers), outputNorm: norm)
        let name = config.optionalStrings("architectures")?.first ?? ""
        if name.hasSuffix("EncoderModel") || name.hasSuffix("ForTokenClassification") {
            return Architecture(
                vocabulary: vocabulary, width: width, body: .encoder(reader),
                head: name.hasSuffix("EncoderModel") ? .none : .rows(nil, labels: config.labels()))
        }
        let (head, start) = config.encoderDecoderHead(tokens, dense: .init(width: width, activation: .tanh))
        return Architecture(
            vocabulary: vocabulary, width: width,
            body: .encoderDecoder(
                reader, .init(layers: Array(repeating: decoder, count: depth), outputNorm: norm)),
            head: head, rereadsBehind: start)
    }

    private static func tokenHead(
        _ config: ConfigReader, _ modelType: String, width: Int
    ) -> Architecture.TokenHead {
        let tied =
            config.bool("tie_word_embeddings", default: modelType != "mt5")
            && config.bool("scale_decoder_outputs", default: true)
        return .init(
            weights: tied || ["umt5", "longt5"].contains(modelType) ? .tied : .own,
            scale: tied && modelType != "mt5" ? 1 / Float(width).squareRoot() : 1)
    }

    private static func layerForms(
        _ config: ConfigReader, _ modelType: String, isMultilingual: Bool, norm: Architecture.Norm
    ) -> (encoder: Architecture.Layer, decoder: Architecture.Layer) {
        var encoder = layer(config, isMultilingual: isMultilingual, norm: norm)
        if modelType == "umt5", case .buckets(let count, let farthest) = encoder.attention.positions {
            encoder.attention.positions = .layerBuckets(count, farthest: farthest)
        }
        var decoder = encoder
        if modelType == "longt5" {
            encoder.attention.reach = localReach(config)
            if case .aroundAndSums = encoder.attention.reach { encoder.attention.sumsNorm = norm }
        }
        decoder.attention.reach = .past
        decoder.crossAttention = decoder.attention
        decoder.crossAttention?.reach = .all
        decoder.crossAttention?.positions = .none
        return (encoder, decoder)
    }

    private static func localReach(_ config: ConfigReader) -> Architecture.Reach {
        let isLocal = config.choice(
            "encoder_attention_type", of: ["local": true, "transient-global": false], default: true)
        let block = config.integer("global_block_size", default: 16)
        let radius = config.integer("local_radius", default: 127)
        return isLocal ? .around(radius) : .aroundAndSums(radius, block: block)
    }

    /// The buckets that relative positions fall into (arXiv:1910.10683, section 2.1).
    static func distances(_ config: ConfigReader) -> Architecture.ScorePositions {
        let buckets = config.integer("relative_attention_num_buckets", default: 32, in: 1...65_536)
        let farthest = config.integer("relative_attention_max_distance", default: 128)
        if buckets < 4 || farthest <= buckets / 2 {
            config.reject("\(buckets) buckets cannot be spread over distances up to \(farthest)")
        }
        return .buckets(buckets, farthest: farthest)
    }

    private static func layer(
        _ config: ConfigReader, isMultilingual: Bool, norm: Architecture.Norm
    ) -> Architecture.Layer {
        let heads = config.integer("num_heads", "num_attention_heads", default: isMultilingual ? 6 : 8)
        return .init(
            norm: norm, arrangement: .before,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: config.integer("d_kv", "head_dim", default: 64),
                scale: 1, reach: .all, positions: distances(config)),
            feedForward: feedForward(
                config, hidden: config.integer("d_ff", default: isMultilingual ? 1_024 : 2_048),
                default: isMultilingual ? "gated-gelu" : "relu"))
    }

    /// The feed-forward of "relu", or "gated-" and an activation, of which GELU means its approximation.
    private static func feedForward(
        _ config: ConfigReader, hidden: Int, default value: String
    ) -> Architecture.FeedForward {
        let form: (isGated: Bool, Architecture.Activation) = config.choice(
            "feed_forward_proj",
            of: [
                "relu": (false, .relu), "gelu": (false, .gelu), "gated-gelu": (true, .geluTanh),
                "gated-silu": (true, .silu), "gated-relu": (true, .relu),
            ], default: value == "relu" ? (false, .relu) : (true, .geluTanh))
        return form.isGated
            ? .gated(hidden: hidden, form.1, bias: .absent) : .plain(hidden: hidden, form.1, bias: .absent)
    }

    /// Keys that say `feed_forward_proj` again, the length of its training texts, and the task prefixes of its
    /// publishers.
    static let harmlessKeys = [
        "dense_act_fn", "is_gated_act", "n_positions", "is_encoder_decoder", "max_position_embeddings",
    ]

    static let prefixes = ["", "transformer."]
    static let tiesWhereHeadIsAbsent = true

    /// The table may be kept under the name of either stack alone.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let names = names(architecture)
        func isStored(_ name: String) -> Bool { prefixes.contains { tensors[$0 + name + ".weight"] != nil } }
        guard let table = names.resolve("tokens.weight")?.name, table == "shared.weight", !isStored("shared"),
            let other = ["encoder.embed_tokens", "decoder.embed_tokens"].first(where: isStored)
        else { return names }
        return names.adding(["tokens": WeightName(other)])
    }

    static func names(_ architecture: Architecture) -> WeightNames {
        var names: WeightNames = [
            "sequence.transform": "classification_head.dense", "sequence": "classification_head.out_proj",
            "rows": "classifier", "answers": "qa_outputs",
            "tokens": "shared", "head": "lm_head",
            "encoder.outputNorm": "encoder.final_layer_norm", "decoder.outputNorm": "decoder.final_layer_norm",
        ]
        for (stack, feedForward) in [("encoder", 1), ("decoder", 2)] {
            let block = "\(stack).block.#.layer"
            let own = stack == "encoder" ? attentionName(architecture) : "SelfAttention"
            let projections = "\(block).\(feedForward).DenseReluDense"
            names = names.adding([
                "\(stack).distances": WeightName("\(stack).block.0.layer.0.\(own).relative_attention_bias"),
                "\(stack).#.distances": WeightName("\(block).0.\(own).relative_attention_bias"),
                "\(stack).distancesOfSums": WeightName(
                    "\(stack).block.0.layer.0.\(own).global_relative_attention_bias"),
                "\(stack).#.attention.sumsNorm": WeightName("\(block).0.\(own).global_input_layer_norm"),
                "\(stack).#.attention.normBefore": WeightName("\(block).0.layer_norm"),
                "\(stack).#.crossAttention.normBefore": WeightName("\(block).1.layer_norm"),
                "\(stack).#.feedForward.normBefore": WeightName("\(block).\(feedForward).layer_norm"),
                "\(stack).#.feedForward.gate": WeightName("\(projections).wi_0"),
                "\(stack).#.feedForward.up": WeightName(
                    isGated(architecture) ? "\(projections).wi_1" : "\(projections).wi"),
                "\(stack).#.feedForward.down": WeightName("\(projections).wo"),
            ])
            for (ours, theirs) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                names = names.adding([
                    "\(stack).#.attention.\(ours)": WeightName("\(block).0.\(own).\(theirs)"),
                    "\(stack).#.crossAttention.\(ours)": WeightName("\(block).1.EncDecAttention.\(theirs)"),
                ])
            }
        }
        return names
    }

    static func ggufNames(_ architecture: Architecture, modelType: String) -> WeightNames {
        var names: WeightNames = [
            "tokens": "token_embd", "head": "output", "encoder.outputNorm": "enc.output_norm",
            "decoder.outputNorm": "dec.output_norm",
        ]
        for (stack, short) in [("encoder", "enc"), ("decoder", "dec")] {
            let block = "\(short).blk.#"
            names = names.adding(["\(stack).distances": WeightName("\(short).blk.0.attn_rel_b")])
            let parts = [
                "distances": "attn_rel_b", "attention.normBefore": "attn_norm",
                "crossAttention.normBefore": "cross_attn_norm", "feedForward.normBefore": "ffn_norm",
                "feedForward.gate": "ffn_gate", "feedForward.up": "ffn_up", "feedForward.down": "ffn_down",
            ]
            for (ours, theirs) in parts {
                names = names.adding(["\(stack).#.\(ours)": WeightName("\(block).\(theirs)")])
            }
            for (ours, theirs) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                names = names.adding([
                    "\(stack).#.attention.\(ours)": WeightName("\(block).attn_\(theirs)"),
                    "\(stack).#.crossAttention.\(ours)": WeightName("\(block).cross_attn_\(theirs)"),
                ])
            }
        }
        return names
    }

    /// The name of the encoder's self-attention.
    private static func attentionName(_ architecture: Architecture) -> String {
        switch architecture.firstStack.layers.first?.attention.reach {
        case .around: "LocalSelfAttention"
        case .aroundAndSums: "TransientGlobalSelfAttention"
        default: "SelfAttention"
        }
    }

    private static func isGated(_ architecture: Architecture) -> Bool {
        if case .gated = architecture.firstStack.layers.first?.feedForward { true } else { false }
    }

    /// The table once more for each stack, and a bias that cross-attention does not read.
    static let unused = [
        "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    ]
}
