import MartletFormats
import MartletLayers
import MartletTensors

/// T5Gemma: Gemma 2's layers as encoder and decoder, with cross-attention between a decoder layer's attention and its
/// feed-forward.
///
/// Source: arXiv:2504.06225. Each stack has a token table of its own; the head is the decoder's.
enum T5Gemma: Family {
    static let modelTypes = ["t5gemma"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let (source, target) = (config.object("encoder"), config.object("decoder"))
        let (encoder, decoder) = (Side(source), Side(target))
        let name = config.optionalStrings("architectures")?.first ?? ""
        if !name.isEmpty, !name.hasSuffix("ForConditionalGeneration") {
            config.reject(
                "architectures names \(name), but of T5Gemma's heads only ForConditionalGeneration is supported")
        }
        config.ignore("vocab_size")
        let tied = config.bool("tie_word_embeddings", default: true)
        var architecture = Architecture(
            vocabulary: encoder.vocabulary, width: decoder.width, context: min(encoder.context, decoder.context),
            embedding: .init(scale: decoder.scale, targetVocabulary: decoder.vocabulary),
            body: .encoderDecoder(encoder.stack(writes: false), decoder.stack(writes: true)),
            head: .tokens(.init(weights: tied ? .tied : .own, cap: decoder.logitCap)))
        if encoder.width != decoder.width {
            architecture.reader = .init(width: encoder.width, scale: encoder.scale)
        }
        return architecture
    }

    /// One stack's part of the configuration.
    private struct Side {
        let vocabulary, width, context: Int
        let logitCap: Float?
        /// The factor of token vectors.
        var scale: Float { Float(Double(width).squareRoot()) }
        private let norm: Architecture.Norm
        private let attention: Architecture.Attention
        private let feedForward: Architecture.FeedForward
        private let sliding: [Bool]
        private let window: Int?

        init(_ config: ConfigReader) {
            vocabulary = config.integer("vocab_size", default: 256_000)
            width = config.integer("hidden_size", default: 2_304)
            context = config.integer("max_position_embeddings", default: 8_192)
            norm = .rms(epsilon: Float(config.number("rms_norm_eps", default: 1e-6)), weightOffset: 1)
            let headWidth = config.integer("head_dim", default: 256)
            let scaledBy = config.number("query_pre_attn_scalar", default: 256, in: 1e-6...1e9)
            attention = .init(
                queryHeads: config.integer("num_attention_heads", default: 8),
                keyHeads: config.integer("num_key_value_heads", default: 4), headWidth: headWidth,
                scale: Float(1 / scaledBy.squareRoot()), reach: .all,
                positions: .rotary(config.rotary(headWidth: headWidth, context: context)),
                bias: config.bool("attention_bias", default: false) ? .all : .none,
                scoreCap: config.cap("attn_logit_softcapping", absent: 50))
            logitCap = config.cap("final_logit_softcapping", absent: 30)
            feedForward = .gated(
                hidden: config.integer("intermediate_size", default: 9_216),
                config.activation("hidden_activation", default: .geluTanh), bias: .absent)
            let layers = config.integer("num_hidden_layers", default: 26, in: ConfigReader.layers)
            sliding = config.slidingLayers(layers) ?? (0..<layers).map { $0 % 2 == 0 }
            window = config.integer(orNull: "sliding_window", absent: 4_096)
            config.ignore(
                "is_decoder", "cross_attention_hidden_size", "dropout_rate", "tie_word_embeddings", "use_cache",
                "model_type")
        }

        /// Windows of the reader count to each side, those of the writer to the past.
        func stack(writes: Bool) -> Architecture.Stack {
            let layers = sliding.map { slides in
                var own = attention
                own.reach = writes ? .past : .all
                if slides, let window { own.reach = writes ? .window(window) : .around(window) }
                var across = attention
                across.positions = .none
                return Architecture.Layer(
                    norm: norm, arrangement: .both, attention: own, crossAttention: writes ? across : nil,
                    feedForward: feedForward)
            }
            return .init(layers: layers, outputNorm: norm)
        }
    }

    static let harmlessKeys = ["is_encoder_decoder", "classifier_dropout_rate"]
    static let prefixes = ["model.", ""]

    static func names(_ architecture: Architecture) -> WeightNames {
        var names: WeightNames = [
            "tokens": "encoder.embed_tokens", "targetTokens": "decoder.embed_tokens", "head": "lm_head.out_proj",
        ]
        for stack in ["encoder", "decoder"] {
            let layer = "\(stack).layers.#"
            names = names.adding(["\(stack).outputNorm": WeightName("\(stack).norm")])
            for (ours, theirs) in [
                ("attention", "self_attn"), ("crossAttention", "cross_attn"), ("feedForward", "feedforward"),
            ] {
                names = names.adding([
                    "\(stack).#.\(ours).normBefore": WeightName("\(layer).pre_\(theirs)_layernorm"),
                    "\(stack).#.\(ours).normAfter": WeightName("\(layer).post_\(theirs)_layernorm"),
                ])
                guard ours != "feedForward" else { continue }
                for (part, letter) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
                    names = names.adding([
                        "\(stack).#.\(ours).\(part)": WeightName("\(layer).\(theirs).\(letter)_proj")
                    ])
                }
            }
            for part in ["gate", "up", "down"] {
                names = names.adding(["\(stack).#.feedForward.\(part)": WeightName("\(layer).mlp.\(part)_proj")])
            }
        }
        return names
    }
}
