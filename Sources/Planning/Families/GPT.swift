internal import MartletJSON
internal import MartletLayers

/// What came from GPT-2: LayerNorm, plain feed-forwards, learned positions or early rotary ones.
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
    PlannedFamily("gpt_neo") { fields in
        let width = fields.integer("hidden_size", standard: 2048)
        let heads = fields.integer("num_heads", standard: 16)
        let context = fields.integer("max_position_embeddings", standard: 2048)
        let layers = fields.integer("num_layers", standard: 24)
        let window = fields.integer("window_size", standard: 256)
        let kinds = fields.attentionKinds(layers: layers)
        return DecoderShape(
            width: width, layers: layers, vocabulary: fields.integer("vocab_size", standard: 50257), context: context,
            attention: .init(
                queryHeads: heads, keyHeads: heads,
                headWidth: fields.quotient(width, heads, "hidden_size over num_heads"),
                reach: .past, biases: .output),
            feedForward: .plain(hidden: fields.optionalInteger("intermediate_size") ?? 4 * width, bias: .present),
            normVectors: .weightAndBias,
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true)), positions: context
        ).blueprint(fields.modelType) { index, layer in
            if kinds[index % kinds.count] == "local" { layer.attention.reach = .window(window) }
        }
    },
    PlannedFamily("gptj") { fields in
        let width = fields.integer("n_embd", standard: 4096)
        let heads = fields.integer("n_head", standard: 16)
        _ = fields.optionalInteger("rotary_dim")
        return DecoderShape(
            width: width, layers: fields.integer("n_layer", standard: 28),
            vocabulary: fields.integer("vocab_size", standard: 50400),
            context: fields.integer("n_positions", standard: 2048),
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: fields.quotient(width, heads, "n_embd over n_head"),
                reach: .past),
            feedForward: .plain(hidden: fields.optionalInteger("n_inner") ?? 4 * width, bias: .present),
            normVectors: .weightAndBias, norms: ["attention.normBefore"],
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: false), bias: .present)
        ).blueprint(fields.modelType)
    },
    PlannedFamily("gpt_neox") { fields in
        let width = fields.integer("hidden_size", standard: 6144)
        let heads = fields.integer("num_attention_heads", standard: 64)
        let biased = fields.flag("attention_bias", standard: true)
        return DecoderShape(
            width: width, layers: fields.integer("num_hidden_layers", standard: 44),
            vocabulary: fields.integer("vocab_size", standard: 50432),
            context: fields.integer("max_position_embeddings", standard: 2048),
            attention: .init(
                queryHeads: heads, keyHeads: heads,
                headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .past,
                biases: biased ? .all : .none, projections: .fused),
            feedForward: .plain(hidden: fields.integer("intermediate_size", standard: 24576), bias: .present),
            normVectors: .weightAndBias,
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: false))
        ).blueprint(fields.modelType)
    },
    PlannedFamily("bloom") { fields in
        let width = fields.integer("hidden_size", "n_embed", standard: 64)
        let heads = fields.integer("n_head", "num_attention_heads", standard: 8)
        var blueprint = DecoderShape(
            width: width, layers: fields.integer("n_layer", "num_hidden_layers", standard: 2),
            vocabulary: fields.integer("vocab_size", standard: 250880), context: nil,
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: fields.quotient(width, heads, "hidden_size over n_head"),
                reach: .past, biases: .all, projections: .fused),
            feedForward: .plain(hidden: 4 * width, bias: .present), normVectors: .weightAndBias,
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true))
        ).blueprint(fields.modelType)
        blueprint.embeddings += Blueprint.Norm("norm", width, .weightAndBias).tensors("embedding")
        return blueprint
    },
    PlannedFamily("opt") { fields in
        let width = fields.integer("hidden_size", standard: 768)
        let table = fields.integer("word_embed_proj_dim", standard: width)
        let heads = fields.integer("num_attention_heads", standard: 12)
        let context = fields.integer("max_position_embeddings", standard: 2048)
        let biased = fields.flag("enable_bias", standard: true)
        let affine = fields.flag("layer_norm_elementwise_affine", standard: true)
        let finalNorm =
            fields.flag("do_layer_norm_before", standard: true)
            && !fields.flag("_remove_final_layer_norm", standard: false)
        var blueprint = DecoderShape(
            width: width, layers: fields.integer("num_hidden_layers", standard: 12),
            vocabulary: fields.integer("vocab_size", standard: 50272), context: context,
            attention: .init(
                queryHeads: heads, keyHeads: heads,
                headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .past,
                biases: biased ? .all : .none),
            feedForward: .plain(hidden: fields.integer("ffn_dim", standard: 3072), bias: fields.presence(biased)),
            normVectors: affine ? .weightAndBias : .none, finalNorm: finalNorm ? ["outputNorm"] : [],
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true)), positions: context + 2
        ).blueprint(fields.modelType)
        if table != width {
            blueprint.embeddings[0].shape[1] = table
            blueprint.embeddings += projection("embedding.projection", width, table, .stem)
            blueprint.head.width = table
            blueprint.head.before += projection("head.projection", table, width, .headTransform)
        }
        return blueprint
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
    PlannedFamily("falcon") { fields in falcon(&fields) },
    PlannedFamily("phi") { fields in
        let width = fields.integer("hidden_size", standard: 2048)
        let heads = fields.integer("num_attention_heads", standard: 32)
        let headWidth = fields.quotient(width, heads, "hidden_size over num_attention_heads")
        let normed = fields.flag("qk_layernorm", standard: false)
        return DecoderShape(
            width: width, layers: fields.integer("num_hidden_layers", standard: 24),
            vocabulary: fields.integer("vocab_size", standard: 51200),
            context: fields.integer("max_position_embeddings", standard: 2048),
            attention: .init(
                queryHeads: heads, keyHeads: fields.optionalInteger("num_key_value_heads") ?? heads,
                headWidth: headWidth,
                reach: .past, biases: .all,
                norms: normed ? ["queryNorm", "keyNorm"].map { .init($0, headWidth, .weightAndBias) } : []),
            feedForward: .plain(hidden: fields.integer("intermediate_size", standard: 8192), bias: .present),
            normVectors: .weightAndBias, norms: ["attention.normBefore"],
            head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: false), bias: .present)
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

extension ConfigurationFields {
    /// GPT-Neo's `attention_types`: [[["global", "local"], 12]] is that pattern twelve times.
    mutating func attentionKinds(layers: Int) -> [String] {
        guard let groups = list("attention_types") else { return ["global", "local"] }
        let kinds = groups.flatMap { group -> [String] in
            let pattern = group[0]?.arrayValue?.compactMap(\.stringValue) ?? []
            let times = min(group[1]?.integerValue ?? 0, layers)
            return (0..<max(times, 0)).flatMap { _ in pattern }
        }
        guard kinds.count == layers else {
            problem("attention_types describes \(kinds.count) layers, and num_layers is \(layers)")
            return ["global"]
        }
        return kinds
    }
}

/// Falcon: one key-value head in the first generation, groups of them in the second.
private func falcon(_ fields: inout ConfigurationFields) -> Blueprint {
    let width = fields.integer("hidden_size", standard: 4544)
    let heads = fields.integer("num_attention_heads", "n_head", standard: 71)
    let grouped = fields.flag("new_decoder_architecture", standard: false)
    let single = fields.flag("multi_query", standard: true)
    let parallel = fields.flag("parallel_attn", standard: true)
    let biased = fields.flag("bias", standard: false)
    _ = fields.flag("alibi", standard: false)
    let keyHeads = grouped ? fields.integer("num_kv_heads", "n_head_kv", standard: heads) : single ? 1 : heads
    let norms =
        grouped
        ? (fields.optionalInteger("num_ln_in_parallel_attn") ?? 2 == 2
            ? ["attention.normBefore", "feedForward.normBefore"] : ["attention.normBefore"])
        : parallel ? ["attention.normBefore"] : ["attention.normBefore", "feedForward.normBefore"]
    return DecoderShape(
        width: width, layers: fields.integer("num_hidden_layers", "n_layer", standard: 32),
        vocabulary: fields.integer("vocab_size", standard: 65024),
        context: fields.integer("max_position_embeddings", standard: 2048),
        attention: .init(
            queryHeads: heads, keyHeads: keyHeads,
            headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .past,
            biases: biased ? .all : .none, projections: .fused),
        feedForward: .plain(
            hidden: fields.optionalInteger("ffn_hidden_size") ?? 4 * width, bias: fields.presence(biased)),
        normVectors: .weightAndBias, norms: norms,
        head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: true))
    ).blueprint(fields.modelType)
}
