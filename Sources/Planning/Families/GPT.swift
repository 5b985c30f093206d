internal import MartletLayers

/// What came from GPT-2 and cannot be run yet: LayerNorm, plain feed-forwards.
let gptFamilies: [PlannedFamily] = [
    PlannedFamily("gpt_bigcode") { fields in
        let width = fields.integer("n_embd", "hidden_size", standard: 768)
        let heads = fields.integer("n_head", "num_attention_heads", standard: 12)
        let context = fields.integer("n_positions", "max_position_embeddings", standard: 1024)
        let hidden = fields.optionalInteger("n_inner") ?? 4 * width
        let single = fields.flag("multi_query", standard: true)
        let headWidth = fields.quotient(width, heads, "n_embd over n_head")
        return DecoderShape(
            width: width, layers: fields.integer("n_layer", "num_hidden_layers", standard: 12),
            vocabulary: fields.integer("vocab_size", standard: 50257), context: context,
            attention: .init(
                queryHeads: heads, keyHeads: single ? 1 : heads, headWidth: headWidth, reach: .past,
                biases: .all, projections: .fused),
            feedForward: .plain(hidden: hidden, bias: .present), normVectors: .weightAndBias,
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true)), positions: context
        ).blueprint(fields.modelType)
    },
    PlannedFamily("mpt") { fields in
        let width = fields.integer("d_model", standard: 2048)
        let heads = fields.integer("n_heads", standard: 16)
        if !fields.flag("no_bias", standard: true) { fields.problem("no_bias = false is not described") }
        // transformers computes with 4 whatever the configuration says.
        if fields.integer("expansion_ratio", standard: 4) != 4 { fields.problem("expansion_ratio must be 4") }
        return DecoderShape(
            width: width, layers: fields.integer("n_layers", standard: 24),
            vocabulary: fields.integer("vocab_size", standard: 50368),
            context: fields.integer("max_seq_len", standard: 2048),
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: fields.quotient(width, heads, "d_model over n_heads"),
                reach: .past, projections: .fused),
            feedForward: .plain(hidden: 4 * width, bias: .absent),
            normVectors: .weight, head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true))
        ).blueprint(fields.modelType)
    },
    PlannedFamily("starcoder2") { fields in
        let width = fields.integer("hidden_size", standard: 3072)
        let heads = fields.integer("num_attention_heads", standard: 24)
        let biased = fields.flag("use_bias", standard: true)
        let window = fields.optionalInteger("sliding_window")
        return DecoderShape(
            width: width, layers: fields.integer("num_hidden_layers", standard: 30),
            vocabulary: fields.integer("vocab_size", standard: 49152),
            context: fields.integer("max_position_embeddings", standard: 4096),
            attention: .init(
                queryHeads: heads, keyHeads: fields.integer("num_key_value_heads", standard: 2),
                headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"),
                reach: window.map { .window($0) } ?? .past, biases: biased ? .all : .none),
            feedForward: .plain(
                hidden: fields.integer("intermediate_size", standard: 12288), bias: fields.presence(biased)),
            normVectors: .weightAndBias,
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true))
        ).blueprint(fields.modelType)
    },
]
