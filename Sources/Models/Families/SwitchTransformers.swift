import MartletFormats
import MartletLayers
import MartletTensors

/// Switch Transformers: T5 with one of several plain experts for each row, in some of the layers.
///
/// Source: arXiv:2101.03961. An expert takes only so many rows of a sequence; those that come later pass unchanged.
enum SwitchTransformers: Family {
    static let modelTypes = ["switch_transformers"]

    static func architecture(_ config: ConfigReader) -> Architecture {
        let width = config.integer("d_model", "hidden_size", default: 768)
        let layers = config.integer("num_layers", "num_hidden_layers", default: 12, in: ConfigReader.layers)
        let depth = config.integer(orNull: "num_decoder_layers", absent: 12, in: ConfigReader.layers) ?? layers
        let norm = Architecture.Norm.rms(epsilon: Float(config.number("layer_norm_epsilon", default: 1e-6)))
        let tied = config.bool("tie_word_embeddings", default: true)
        let encoder = layer(config, norm: norm)
        var decoder = encoder
        decoder.attention.reach = .past
        decoder.crossAttention = encoder.attention
        decoder.crossAttention?.positions = .none
        let experts = Architecture.FeedForward.experts(experts(config, encoder.feedForward))
        func stack(_ layer: Architecture.Layer, _ count: Int, _ side: String) -> Architecture.Stack {
            let depths = 0...ConfigReader.layers.upperBound
            let sparse = config.integer("num_sparse_\(side)_layers", default: 3, in: depths)
            // Without sparse layers the step is the depth; of a single layer, that is still the first. A step that is
            // stated goes before.
            let step =
                config.optionalInteger("\(side)_sparse_step", in: depths) ?? (sparse > 0 ? count / sparse : count)
            return .init(
                layers: (0..<count).map { index in
                    var layer = layer
                    if step == 1 || step > 0 && index % step == 1 { layer.feedForward = experts }
                    return layer
                }, outputNorm: norm)
        }
        let vocabulary = config.integer("vocab_size", default: 32_128)
        return Architecture(
            vocabulary: vocabulary, width: width,
            // Untied, each stack has a table of its own, too.
            embedding: .init(targetVocabulary: tied ? nil : vocabulary),
            body: .encoderDecoder(
                stack(encoder, layers, "encoder"),
                stack(decoder, depth, "decoder")),
            head: .tokens(.init(weights: tied ? .tied : .own, scale: tied ? 1 / Float(width).squareRoot() : 1)))
    }

    private static func layer(_ config: ConfigReader, norm: Architecture.Norm) -> Architecture.Layer {
        let heads = config.integer("num_heads", "num_attention_heads", default: 12)
        return .init(
            norm: norm, arrangement: .before,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: config.integer("d_kv", default: 64), scale: 1,
                reach: .all, positions: T5.distances(config)),
            feedForward: .plain(
                hidden: config.integer("d_ff", default: 2_048), config.activation("dense_act_fn", default: .relu),
                bias: .absent))
    }

    private static func experts(
        _ config: ConfigReader, _ dense: Architecture.FeedForward
    ) -> Architecture.Experts {
        var routing = Architecture.Routing.asTheyAre
        routing.capacity = config.integer("expert_capacity", default: 64)
        var (hidden, activation) = (2_048, Architecture.Activation.relu)
        if case .plain(let count, let function, _) = dense { (hidden, activation) = (count, function) }
        var experts = Architecture.Experts(
            count: config.integer("num_experts", default: 8, in: ConfigReader.experts), active: 1, hidden: hidden,
            activation: activation, routing: routing)
        experts.gate = .absent
        experts.routerBias = config.presence("router_bias", default: false)
        return experts
    }

    /// Losses and noise of training.
    static let harmlessKeys = [
        "is_encoder_decoder", "router_dtype", "router_ignore_padding_tokens", "add_router_probs", "n_positions",
        "feed_forward_proj", "is_gated_act", "router_type",
        "batch_prioritized_routing", "num_partitions", "is_decoder", "add_cross_attention",
    ]

    static let prefixes = [""]
    static let unused = T5.unused + ["shared.weight"]

    static func names(_ architecture: Architecture) -> WeightNames {
        var names = T5.names(architecture)
        if architecture.embedding.targetVocabulary != nil {
            names = names.adding(["tokens": "encoder.embed_tokens", "targetTokens": "decoder.embed_tokens"])
        }
        for (stack, index) in [("encoder", 1), ("decoder", 2)] {
            let (ours, theirs) = ("\(stack).#.feedForward", "\(stack).block.#.layer.\(index).mlp")
            names = names.adding([
                "\(ours).up": WeightName("\(theirs).wi"),
                "\(ours).down": WeightName("\(theirs).wo"),
                "\(ours).router": WeightName("\(theirs).router.classifier"),
                "\(ours).experts.##.up": WeightName("\(theirs).experts.expert_##.wi"),
                "\(ours).experts.##.down": WeightName("\(theirs).experts.expert_##.wo"),
            ])
        }
        return names
    }
}
