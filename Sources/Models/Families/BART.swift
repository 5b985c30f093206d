import MartletFormats
import MartletLayers
import MartletTensors

/// BART, mBART, Marian, Pegasus, M2M-100 (NLLB) and Blenderbot: the 2017 Transformer with biases everywhere, in several
/// arrangements.
///
/// Sources: arXiv:1910.13461 (BART), arXiv:2001.08210 (mBART), Marian's OPUS-MT models, arXiv:1912.08777 (Pegasus),
/// arXiv:2010.11125 (M2M-100), arXiv:2207.04672 (NLLB), arXiv:2004.13637 (Blenderbot).
enum BART: Family {
    static let modelTypes = ["bart", "mbart", "marian", "pegasus", "m2m_100", "blenderbot"]

    /// The kind of model, which tells the model types apart.
    private struct Kind {
        let arrangement: Architecture.Arrangement
        /// True where the embeddings have a norm.
        let hasInputNorm: Bool
        var (vocabulary, width, context, layers, hidden, heads) = (50_265, 1_024, 1_024, (12, 12), (4_096, 4_096), 16)
        var activation = Architecture.Activation.gelu
        var isScaled = false
        /// The bias of the logits.
        var bias = Architecture.TokenHead.Bias.constant
        /// True where classifiers begin to read the source again with its last token.
        var wrapsSource: Bool { modelType == "mbart" }
        private let modelType: String

        init(_ modelType: String) {
            self.modelType = modelType
            arrangement = modelType == "bart" || modelType == "marian" ? .after : .before
            hasInputNorm = modelType == "bart" || modelType == "mbart"
            switch modelType {
            case "marian": vocabulary = 58_101
            case "m2m_100": (vocabulary, activation, isScaled, bias) = (128_112, .relu, true, .absent)
            case "blenderbot":
                (vocabulary, width, context, layers, hidden, heads) = (
                    8_008, 2_560, 128, (2, 24), (10_240, 10_240), 32
                )
            default: break
            }
        }

        func positions(width: Int, context: Int, padding: Int) -> Architecture.InputPositions {
            switch modelType {
            case "marian", "pegasus": .sinusoidal(.init(order: .halves, denominator: Float(width) / 2))
            // As in tensor2tensor, behind the rows of the padding.
            case "m2m_100": .sinusoidal(.init(order: .halves, start: padding + 1, denominator: Float(width) / 2 - 1))
            case "blenderbot": .learned(context)
            default: .learned(context, offset: 2)
            }
        }
    }

    static func architecture(_ config: ConfigReader) -> Architecture {
        let kind = Kind(config.string("model_type"))
        let width = config.integer("d_model", "hidden_size", default: kind.width)
        let vocabulary = config.integer("vocab_size", default: kind.vocabulary)
        let context = config.integer("max_position_embeddings", default: kind.context)
        let shared = config.bool("share_encoder_decoder_embeddings", default: true)
        let tied = config.bool("tie_word_embeddings", default: true)
        // A table that is shared and tied has the first size, whatever the second says.
        let targets = config.integer("decoder_vocab_size", default: vocabulary)
        if shared && !tied && targets != vocabulary {
            config.reject("a head of \(vocabulary) tokens follows a decoder of \(targets)")
        }
        let scaled = config.bool("scale_embedding", default: kind.isScaled)
        func stack(_ side: String) -> Architecture.Stack {
            Self.stack(config, kind, side, width: width, context: context)
        }
        // The bare model has no head of its own.
        let tokens = Architecture.TokenHead(weights: tied || config.isBareModel ? .tied : .own, bias: kind.bias)
        let (head, start) = config.encoderDecoderHead(
            tokens, dense: .init(width: width, activation: .tanh), wraps: kind.wrapsSource)
        return Architecture(
            vocabulary: vocabulary, width: width, context: context,
            embedding: .init(
                scale: scaled ? Float(width).squareRoot() : 1, targetVocabulary: shared && tied ? nil : targets),
            body: .encoderDecoder(stack("encoder"), stack("decoder")),
            head: head, rereadsBehind: start)
    }

    private static func stack(
        _ config: ConfigReader, _ kind: Kind, _ side: String, width: Int, context: Int
    ) -> Architecture.Stack {
        let norm = Architecture.Norm.layer(epsilon: 1e-5)
        let heads = config.integer("\(side)_attention_heads", default: kind.heads)
        let headWidth = config.headWidth(width, heads)
        let isDecoder = side == "decoder"
        let attention = Architecture.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth, scale: 1 / Float(headWidth).squareRoot(),
            reach: .all, bias: .all)
        var own = attention
        own.reach = isDecoder ? .past : .all
        let layer = Architecture.Layer(
            norm: norm, arrangement: kind.arrangement, attention: own, crossAttention: isDecoder ? attention : nil,
            feedForward: .plain(
                hidden: config.integer("\(side)_ffn_dim", default: isDecoder ? kind.hidden.1 : kind.hidden.0),
                config.activation("activation_function", default: kind.activation), bias: .present))
        return .init(
            positions: kind.positions(
                width: width, context: context,
                padding: config.integer("pad_token_id", default: 1, in: 0...Int(Int32.max) - 1)),
            inputNorm: kind.hasInputNorm ? norm : nil,
            layers: Array(
                repeating: layer,
                count: config.depth(of: side, default: isDecoder ? kind.layers.1 : kind.layers.0)),
            outputNorm: kind.arrangement == .before ? norm : nil)
    }

    /// Keys that say once more what the kind of model says already, and those that other heads read.
    static let harmlessKeys = [
        "add_bias_logits", "add_final_layer_norm", "normalize_before", "normalize_embedding",
        "static_position_embeddings", "extra_pos_embeddings", "classif_dropout",
        "is_encoder_decoder", "save_step",
    ]

    static let prefixes = ["model.", ""]

    /// The table may be kept under the name of either stack alone; and tables that are not tied, as one.
    static func names(_ architecture: Architecture, storedAs tensors: StoredTensors) -> WeightNames {
        let names = names(architecture).adding(sharedTable(architecture, prefixes, tensors))
        func isStored(_ name: String) -> Bool { prefixes.contains { tensors[$0 + name + ".weight"] != nil } }
        guard let table = names.resolve("tokens.weight")?.name, table == "shared.weight", !isStored("shared"),
            let other = ["encoder.embed_tokens", "decoder.embed_tokens"].first(where: isStored)
        else { return names }
        return names.adding(["tokens": WeightName(other)])
    }

    /// The one table of a checkpoint whose tables are not tied, and that keeps a single one all the same.
    static func sharedTable(
        _ architecture: Architecture, _ prefixes: [String], _ tensors: StoredTensors
    ) -> WeightNames {
        func isStored(_ name: String) -> Bool { prefixes.contains { tensors[$0 + name + ".weight"] != nil } }
        let isOne = isStored("shared") && !isStored("decoder.embed_tokens")
        return architecture.embedding.targetVocabulary != nil && isOne
            ? ["tokens": "shared", "targetTokens": "shared"] : [:]
    }

    static func names(_ architecture: Architecture) -> WeightNames {
        let separate = architecture.embedding.targetVocabulary != nil
        var names: WeightNames = [
            "tokens": separate ? "encoder.embed_tokens" : "shared",
            "targetTokens": "decoder.embed_tokens",
            "head": "lm_head",
            "head.constant": "final_logits_bias",
            "sequence.transform": "classification_head.dense",
            "sequence": "classification_head.out_proj",
            "answers": "qa_outputs",
        ]
        for stack in ["encoder", "decoder"] {
            let layer = "\(stack).layers.#"
            names = names.adding([
                "\(stack).positions": WeightName("\(stack).embed_positions"),
                "\(stack).inputNorm": WeightName("\(stack).layernorm_embedding"),
                "\(stack).outputNorm": WeightName("\(stack).layer_norm"),
                "\(stack).#.feedForward.up": WeightName("\(layer).fc1"),
                "\(stack).#.feedForward.down": WeightName("\(layer).fc2"),
            ])
            for norm in ["normBefore", "normAfter"] {
                names = names.adding([
                    "\(stack).#.attention.\(norm)": WeightName("\(layer).self_attn_layer_norm"),
                    "\(stack).#.crossAttention.\(norm)": WeightName("\(layer).encoder_attn_layer_norm"),
                    "\(stack).#.feedForward.\(norm)": WeightName("\(layer).final_layer_norm"),
                ])
            }
            for (ours, theirs) in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "out_proj")]
            {
                names = names.adding([
                    "\(stack).#.attention.\(ours)": WeightName("\(layer).self_attn.\(theirs)"),
                    "\(stack).#.crossAttention.\(ours)": WeightName("\(layer).encoder_attn.\(theirs)"),
                ])
            }
        }
        return names
    }

    /// The table once more for each stack, and sines that can be computed.
    static let unused = [
        "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
        "encoder.embed_positions.weight", "decoder.embed_positions.weight",
    ]
}
