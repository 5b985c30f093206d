internal import MartletJSON
internal import MartletLayers

/// Models of experts that cannot be run yet.
let mixtureFamilies: [PlannedFamily] = [
    PlannedFamily("gpt_oss") { fields in gptOSS(&fields) },
    PlannedFamily("deepseek_v2", "deepseek_v3") { fields in deepSeek(&fields) },
]

/// gpt-oss: a learned sink in each head's softmax, windows in every second layer, biases everywhere (arXiv:2508.10925).
private func gptOSS(_ fields: inout ConfigurationFields) -> Blueprint {
    let width = fields.integer("hidden_size", standard: 2880)
    let heads = fields.integer("num_attention_heads", standard: 64)
    let headWidth = fields.optionalInteger("head_dim") ?? 64
    let window = fields.integer("sliding_window", standard: 128)
    let kinds = fields.list("layer_types")?.map { $0.stringValue == "sliding_attention" }
    let model = PlannedDecoder(
        width: width, layers: fields.integer("num_hidden_layers", standard: 36),
        vocabulary: fields.integer("vocab_size", standard: 201088),
        context: fields.integer("max_position_embeddings", standard: 131072),
        attention: .init(
            queryHeads: heads, keyHeads: fields.integer("num_key_value_heads", standard: min(heads, 8)),
            headWidth: headWidth, reach: .past),
        feedForward: .experts(
            count: fields.integer("num_local_experts", standard: 128),
            active: fields.integer("num_experts_per_tok", standard: 4),
            hidden: fields.integer("intermediate_size", standard: 2880), sharedHidden: 0),
        biased: fields.flag("attention_bias", standard: true) ? [.query, .key, .value, .output] : [],
        feedForwardBias: .present,
        head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: false)))
    if let kinds, kinds.count != model.layers { fields.problem("layer_types does not describe every layer") }
    return model.blueprint(fields.modelType) { index, layer in
        let windowed = kinds.map { index < $0.count && $0[index] } ?? (index % 2 == 0)
        if windowed { layer.attention.reach = .window(window) }
        layer.tensors = [ParameterTensor("attention.sinks", [heads], .other, .elementwise)]
    }
}

/// DeepSeek-V2 and V3: latent attention; the first layers dense, the rest of experts with shared ones (arXiv:2405.04434, 2412.19437).
private func deepSeek(_ fields: inout ConfigurationFields) -> Blueprint {
    let third = fields.modelType == "deepseek_v3"
    let width = fields.integer("hidden_size", standard: third ? 7168 : 4096)
    let heads = fields.integer("num_attention_heads", standard: third ? 128 : 32)
    let rotary = fields.integer("qk_rope_head_dim", standard: 64)
    let unrotated = fields.integer("qk_nope_head_dim", standard: 128)
    let dense = fields.integer("intermediate_size", standard: third ? 18432 : 11008)
    let firstSparse = fields.optionalInteger("first_k_dense_replace") ?? (third ? 3 : 0)
    let hidden = fields.integer("moe_intermediate_size", standard: third ? 2048 : 1407)
    let shared = fields.integer("n_shared_experts", standard: third ? 1 : 2) * hidden
    let active = third ? fields.integer("num_experts_per_tok", standard: 8) : fields.required("num_experts_per_tok")
    _ = fields.optionalInteger("num_key_value_heads")
    return PlannedDecoder(
        width: width, layers: fields.integer("num_hidden_layers", standard: third ? 61 : 32),
        vocabulary: fields.integer("vocab_size", standard: third ? 129280 : 102400),
        context: fields.integer("max_position_embeddings", standard: third ? 4096 : 2048),
        attention: .init(
            queryHeads: heads, keyHeads: heads, headWidth: unrotated + rotary,
            valueWidth: fields.integer("v_head_dim", standard: 128), reach: .past,
            latent: .init(
                queryRank: fields.optionalInteger("q_lora_rank"),
                keyValueRank: fields.integer("kv_lora_rank", standard: 512), rotaryWidth: rotary)),
        feedForward: .experts(
            count: fields.integer("n_routed_experts", standard: third ? 256 : 64), active: active, hidden: hidden,
            sharedHidden: shared),
        biased: fields.flag("attention_bias", standard: false) ? [.query, .output] : [],
        head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: false))
    ).blueprint(fields.modelType) { index, layer in
        if index < firstSparse { layer.feedForward = .gated(hidden: dense) }
    }
}
