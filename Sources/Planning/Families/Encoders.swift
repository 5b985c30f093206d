internal import MartletJSON
internal import MartletLayers

/// Encoders that cannot be run yet.
let encoderFamilies: [PlannedFamily] = [
    PlannedFamily("deberta") { fields in deberta(&fields) },
    PlannedFamily("modernbert") { fields in modernBert(&fields) },
]

/// DeBERTa's first version: BERT with one matrix for queries, keys and values, and relative positions that attend on their own
/// (arXiv:2006.03654).
private func deberta(_ fields: inout ConfigurationFields) -> Blueprint {
    let width = fields.integer("hidden_size", standard: 768)
    let heads = fields.integer("num_attention_heads", standard: 12)
    let hidden = fields.integer("intermediate_size", standard: 3072)
    let vocabulary = fields.integer("vocab_size", standard: 50265)
    let positions = fields.integer("max_position_embeddings", standard: 512)
    let segments = fields.optionalInteger("type_vocab_size") ?? 0
    let biased = fields.flag("position_biased_input", standard: true)
    let attention = Blueprint.Attention(
        queryHeads: heads, keyHeads: heads,
        headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .all)
    let relative = fields.flag("relative_attention", standard: false)
    let rows = 2 * (fields.optionalRelative("max_relative_positions") ?? positions)
    let listed = Set((fields.list("pos_att_type") ?? []).compactMap(\.stringValue))
    let kinds = relative ? listed : []
    var tensors = attention.tensors("attention", width: width, biased: [.output], isFused: true)
    tensors += ["queryBias", "valueBias"].map {
        ParameterTensor("attention.\($0)", [width], .queryKeyValue, .elementwise)
    }
    for (kind, matrix, bias) in [
        ("c2p", "positionKey", Architecture.Presence.absent), ("p2c", "positionQuery", .present),
    ]
    where kinds.contains(kind) {
        tensors += projection(
            "attention.\(matrix)", width, width, .relativePositions, bias: bias, rows: .fixed(rows))
    }
    let feedForward = Blueprint.FeedForward.plain(hidden: hidden)
    tensors += feedForward.tensors(width: width, bias: .present)
    tensors += ["attention", "feedForward"].flatMap { norm("\($0).normAfter", width, .weightAndBias) }
    let layers = (0..<fields.integer("num_hidden_layers", standard: 12)).map { index in
        Blueprint.Layer(
            name: "encoder.\(index)", attention: attention, feedForward: feedForward, norms: 2, tensors: tensors)
    }
    func table(_ name: String, _ count: Int, _ role: ParameterRole) -> [ParameterTensor] {
        count > 0 ? [ParameterTensor("\(name).weight", [count, width], role, .lookedUp)] : []
    }
    let tables =
        table("tokens", vocabulary, .tokens) + table("encoder.positions", biased ? positions : 0, .positions)
        + table("encoder.segments", segments, .segments)
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary, context: positions,
        embeddings: tables + norm("encoder.inputNorm", width, .weightAndBias),
        stacks: [
            .init(
                .encoder, width: width, own: table("encoder.relative", relative ? rows : 0, .relativePositions),
                layers: layers)
        ], head: debertaHead(&fields, vocabulary: vocabulary, width: width))
}

/// The head by the class the checkpoint was written by.
private func debertaHead(_ fields: inout ConfigurationFields, vocabulary: Int, width: Int) -> Blueprint.Head {
    let name = fields.className(standard: "Model")
    func classifier(_ rows: ParameterUse.Rows, _ outputs: Int) -> [ParameterTensor] {
        projection("head.classifier", outputs, width, .head, bias: .present, rows: rows)
    }
    if name.hasSuffix("ForMaskedLM") {
        let transform =
            projection("head.transform", width, width, .headTransform, bias: .present)
            + norm("head.transform.norm", width, .weightAndBias)
        return .init(.tied, vocabulary: vocabulary, width: width, bias: .present, before: transform)
    }
    if name.hasSuffix("Model") { return .init(.none, width: width) }
    if name.hasSuffix("ForQuestionAnswering") { return .init(.none, width: width, tensors: classifier(.own, 2)) }
    let labels = fields.integer("num_labels", standard: 2)
    if name.hasSuffix("ForTokenClassification") { return .init(.none, width: width, tensors: classifier(.own, labels)) }
    if name.hasSuffix("ForSequenceClassification") {
        let dense = projection("head.dense", width, width, .pooler, bias: .present, rows: .perSequence)
        return .init(.none, width: width, tensors: dense + classifier(.perSequence, labels))
    }
    fields.problem("architectures: the head of \(name) is not described")
    return .init(.none, width: width)
}

extension ConfigurationFields {
    /// A length that −1 leaves open.
    mutating func optionalRelative(_ key: String) -> Int? {
        if integerIsNegative(key) { return nil }
        return optionalInteger(key).flatMap { $0 > 0 ? $0 : nil }
    }
}

/// ModernBERT: no biases, windows in two of three layers, one matrix for gate and up (arXiv:2412.13663).
private func modernBert(_ fields: inout ConfigurationFields) -> Blueprint {
    let width = fields.integer("hidden_size", standard: 768)
    let heads = fields.integer("num_attention_heads", standard: 12)
    let feedForward = Blueprint.FeedForward.gated(hidden: fields.integer("intermediate_size", standard: 1152))
    let vocabulary = fields.integer("vocab_size", standard: 50368)
    let every = fields.integer("global_attn_every_n_layers", standard: 3)
    let window = fields.integer("local_attention", standard: 128)
    let headWidth = fields.quotient(width, heads, "hidden_size over num_attention_heads")
    for key in ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"] where fields.flag(key, standard: false) {
        fields.problem("\(key) = true is not described")
    }
    let layers = (0..<fields.integer("num_hidden_layers", standard: 22)).map { index in
        let attention = Blueprint.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: headWidth,
            reach: index % every == 0 ? .all : .around(window / 2))
        return Blueprint.Layer(
            name: "encoder.\(index)", attention: attention, feedForward: feedForward, norms: 2,
            tensors: attention.tensors("attention", width: width, isFused: true)
                + feedForward.tensors(width: width, isFused: true)
                + norm("attention.normBefore", width, index == 0 ? .none : .weight)
                + norm("feedForward.normBefore", width, .weight))
    }
    let name = fields.className(standard: "Model")
    var head = Blueprint.Head(.none, width: width)
    if name.hasSuffix("ForMaskedLM") {
        head = .init(
            .tied, vocabulary: vocabulary, width: width,
            bias: fields.presence(fields.flag("decoder_bias", standard: true)),
            before: projection("head.transform", width, width, .headTransform) + norm("head.norm", width, .weight))
    } else if !name.hasSuffix("Model") {
        fields.problem("architectures: the head of \(name) is not described")
    }
    let table = ParameterTensor("tokens.weight", [vocabulary, width], .tokens, .lookedUp)
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary,
        context: fields.integer("max_position_embeddings", standard: 8192),
        embeddings: [table] + norm("embedding.norm", width, .weight),
        stacks: [.init(.encoder, width: width, own: norm("encoder.outputNorm", width, .weight), layers: layers)],
        head: head)
}
