internal import MartletJSON
internal import MartletLayers

/// What a Llama-like model type takes where its configuration is silent, and in what it differs.
private struct Defaults: Sendable {
    var width = 4096
    var layers = 32
    var heads = 32
    /// nil: as many as there are query heads.
    var keyHeads: Int?
    /// nil: width over heads.
    var headWidth: Int?
    var hidden = 11008
    var vocabulary = 32000
    var context = 2048
    var tied = false
    var window: Int?
    /// Every so many layers one sees everything; nil when all layers are alike.
    var everyFull: Int?
}

/// What is like Llama and cannot be run yet: RMSNorm, gated feed-forwards, rotary positions.
let llamaFamilies: [PlannedFamily] = [
    llama("granite", Defaults()),
    llama(
        "smollm3",
        Defaults(width: 2048, layers: 36, heads: 16, keyHeads: 4, vocabulary: 128256, context: 32768, tied: true)),
    llama("olmo", Defaults(vocabulary: 50304)) { _, model in model.normVectors = .none },
    llama("olmo2", Defaults(vocabulary: 50304)) { _, model in model.attention.norms = wideNorms(model.attention) },
    llama("olmo3", Defaults(vocabulary: 50304, window: 4096, everyFull: 4)) { _, model in
        model.attention.norms = wideNorms(model.attention)
    },
    llama(
        "cohere",
        Defaults(width: 8192, layers: 40, heads: 64, hidden: 22528, vocabulary: 256000, context: 8192, tied: true)
    ) { fields, model in
        model.norms = ["attention.normBefore"]
        if fields.flag("use_qk_norm", standard: false) { model.attention.norms = wideNorms(model.attention) }
    },
    llama(
        "cohere2",
        Defaults(
            width: 8192, layers: 40, heads: 64, headWidth: 128, hidden: 22528, vocabulary: 256000, context: 8192,
            tied: true, window: 4096, everyFull: 4)
    ) { _, model in model.norms = ["attention.normBefore"] },
    llama("stablelm", Defaults(width: 2560, hidden: 6912, vocabulary: 50304, context: 4096)) { fields, model in
        model.normVectors = .weightAndBias
        if fields.flag("use_qkv_bias", standard: false) { model.attention.biases = .queryKeyValue }
        if fields.flag("use_parallel_residual", standard: false) { model.norms = ["attention.normBefore"] }
        if fields.flag("qk_layernorm", standard: false) { model.attention.norms = wideNorms(model.attention) }
    },
]

/// A norm over all heads of queries and of keys: OLMo 2.
func wideNorms(_ attention: Blueprint.Attention) -> [Blueprint.Norm] {
    [.init("queryNorm", attention.queryWidth, .weight), .init("keyNorm", attention.keyWidth, .weight)]
}

/// A family of Llama's shape; `change` adds what is its own.
private func llama(
    _ modelType: String, _ defaults: Defaults,
    change: @escaping @Sendable (inout ConfigurationFields, inout DecoderShape) -> Void = { _, _ in }
) -> PlannedFamily {
    PlannedFamily(modelType) { fields in
        var model = llamaShape(&fields, defaults)
        change(&fields, &model)
        let full = fullLayers(&fields, layers: model.layers, defaults)
        return model.blueprint(modelType) { index, layer in
            if full[index] { layer.attention.reach = .past }
        }
    }
}

private func llamaShape(_ fields: inout ConfigurationFields, _ defaults: Defaults) -> DecoderShape {
    let width = fields.integer("hidden_size", standard: defaults.width)
    let heads = fields.integer("num_attention_heads", standard: defaults.heads)
    let keyHeads = fields.integer("num_key_value_heads", standard: min(heads, defaults.keyHeads ?? heads))
    let headWidth =
        fields.optionalInteger("head_dim") ?? defaults.headWidth
        ?? fields.quotient(width, heads, "hidden_size over num_attention_heads")
    let window = fields.optionalInteger("sliding_window") ?? defaults.window
    let attentionBias = fields.flag("attention_bias", standard: false)
    let bias = fields.presence(fields.flag("mlp_bias", standard: false))
    return DecoderShape(
        width: width, layers: fields.integer("num_hidden_layers", standard: defaults.layers),
        vocabulary: fields.integer("vocab_size", standard: defaults.vocabulary),
        context: fields.integer("max_position_embeddings", standard: defaults.context),
        attention: .init(
            queryHeads: heads, keyHeads: keyHeads, headWidth: headWidth, reach: window.map { .window($0) } ?? .past,
            biases: attentionBias ? .all : .none),
        feedForward: .gated(
            hidden: fields.integer("intermediate_size", standard: defaults.hidden), bias: bias, fused: .absent),
        normVectors: .weight, head: fields.causalHead(tied: fields.flag("tie_word_embeddings", standard: defaults.tied))
    )
}

/// Which layers see everything, whatever the window: by `layer_types`, or by the pattern of the model type.
private func fullLayers(_ fields: inout ConfigurationFields, layers: Int, _ defaults: Defaults) -> [Bool] {
    if let kinds = fields.list("layer_types") {
        guard kinds.count == layers else {
            fields.problem("layer_types describes \(kinds.count) layers, and num_hidden_layers is \(layers)")
            return Array(repeating: true, count: layers)
        }
        return kinds.map { $0.stringValue == "full_attention" }
    }
    guard let every = fields.optionalInteger("sliding_window_pattern", "_sliding_window_pattern") ?? defaults.everyFull,
        every > 0
    else { return Array(repeating: false, count: layers) }
    return (0..<layers).map { ($0 + 1) % every == 0 }
}
