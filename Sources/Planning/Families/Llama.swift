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
    var biased = false
    var mlpBiased = false
    var window: Int?
    /// Every so many layers one sees everything; nil when all layers are alike.
    var everyFull: Int?
    /// Whether that is the first of them, not the last.
    var fullFirst = false
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

/// More of them, each held against transformers 5.23 by its parameters.
let laterLlamaFamilies: [PlannedFamily] = [
    llama("arcee", Defaults(width: 2560, hidden: 18432, context: 4096)) { fields, model in
        if case .gated(let hidden, let bias, _) = model.feedForward {
            model.feedForward = .plain(hidden: hidden, bias: bias)
        }
    },
    llama(
        "cwm",
        Defaults(
            width: 6144, layers: 64, heads: 48, keyHeads: 8, headWidth: 128, hidden: 21504, vocabulary: 128256,
            context: 131072, window: 8192, everyFull: 4, fullFirst: true)),
    llama(
        "ernie4_5",
        Defaults(
            width: 1024, layers: 18, heads: 16, keyHeads: 2, headWidth: 128, hidden: 3072, vocabulary: 103424,
            context: 131072, tied: true)
    ) { fields, model in
        if fields.flag("use_bias", standard: false) { fields.problem("use_bias = true is not described") }
    },
    llama(
        "exaone4",
        Defaults(keyHeads: 32, hidden: 16384, vocabulary: 102400, window: 4096, everyFull: 4)
    ) { _, model in model.attention.norms = headNorms(model.attention) },
    llama(
        "glm",
        Defaults(
            layers: 40, keyHeads: 2, headWidth: 128, hidden: 13696, vocabulary: 151552, context: 131072, biased: true)
    ) { _, model in model.attention.biases.remove(.output) },
    llama(
        "glm4",
        Defaults(
            layers: 40, keyHeads: 2, headWidth: 128, hidden: 13696, vocabulary: 151552, context: 131072, biased: true)
    ) { _, model in
        model.attention.biases.remove(.output)
        model.norms = fourNorms
    },
    llama("hyperclovax", Defaults()) { _, model in model.norms = fourNorms },
    llama(
        "internlm3",
        Defaults(layers: 48, keyHeads: 2, headWidth: 128, hidden: 10240, vocabulary: 128512, context: 32768)
    ) { fields, model in
        if fields.flag("qkv_bias", standard: false) { model.attention.biases.formUnion(.queryKeyValue) }
    },
    llama(
        "iquestcoder",
        Defaults(
            width: 5120, layers: 80, heads: 40, keyHeads: 8, headWidth: 128, hidden: 27648, vocabulary: 76800,
            context: 131072)),
    llama(
        "jais2",
        Defaults(
            width: 3328, heads: 26, hidden: 26624, vocabulary: 150272, context: 8192, biased: true, mlpBiased: true)
    ) { _, model in plain(&model) },
    llama(
        "ministral3",
        Defaults(layers: 34, keyHeads: 8, headWidth: 128, hidden: 14336, vocabulary: 131072, context: 262144)),
    llama("nemotron", Defaults(width: 6144, heads: 48, hidden: 24576, vocabulary: 256000, context: 4096)) {
        _, model in plain(&model)
    },
    llama(
        "seed_oss",
        Defaults(
            layers: 64, heads: 80, keyHeads: 8, headWidth: 128, hidden: 27648, vocabulary: 155136, context: 524288,
            biased: true)
    ) { fields, model in
        if !fields.flag("attention_out_bias", standard: false) { model.attention.biases.remove(.output) }
    },
    llama(
        "vaultgemma",
        Defaults(
            width: 2304, layers: 26, heads: 8, keyHeads: 4, headWidth: 256, hidden: 9216, vocabulary: 256000,
            context: 8192, tied: true, window: 4096, everyFull: 2)),
]

/// LayerNorm, and a feed-forward without a gate: Nemotron, Jais 2.
private func plain(_ model: inout DecoderShape) {
    model.normVectors = .weightAndBias
    if case .gated(let hidden, let bias, _) = model.feedForward {
        model.feedForward = .plain(hidden: hidden, bias: bias)
    }
}

/// Norms in front of and behind each sublayer: GLM-4, HyperCLOVA X.
private let fourNorms = [
    "attention.normBefore", "attention.normAfter", "feedForward.normBefore", "feedForward.normAfter",
]

/// One norm per head over queries and keys: EXAONE 4.
private func headNorms(_ attention: Blueprint.Attention) -> [Blueprint.Norm] {
    ["queryNorm", "keyNorm"].map { Blueprint.Norm($0, attention.headWidth, .weight) }
}

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
    let attentionBias = fields.flag("attention_bias", standard: defaults.biased)
    let bias = fields.presence(fields.flag("mlp_bias", standard: defaults.mlpBiased))
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
    return (0..<layers).map { ($0 + (defaults.fullFirst ? 0 : 1)) % every == 0 }
}
