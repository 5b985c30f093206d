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
    let headWidth = fields.quotient(width, heads, "hidden_size over num_attention_heads")
    let relative = fields.flag("relative_attention", standard: false)
    let rows = 2 * (fields.optionalRelative("max_relative_positions") ?? positions)
    let listed = Set((fields.list("pos_att_type") ?? []).compactMap(\.stringValue))
    let kinds = relative ? listed : []
    let layers = (0..<fields.integer("num_hidden_layers", standard: 12)).map { index in
        let name = "encoder.\(index).attention"
        var others = ["queryBias", "valueBias"].map {
            ParameterTensor("\(name).\($0)", [width], .queryKeyValue, .elementwise)
        }
        for (kind, matrix, bias) in [
            ("c2p", "positionKey", Architecture.Presence.absent), ("p2c", "positionQuery", .present),
        ]
        where kinds.contains(kind) {
            others += projection(
                "\(name).\(matrix)", width, width, .relativePositions, bias: bias, rows: .fixed(rows))
        }
        return Blueprint.Layer(
            name: "encoder.\(index)",
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth, reach: .all, biases: .output,
                projections: .fused, others: others),
            feedForward: .plain(hidden: hidden, bias: .present),
            norms: ["attention.normAfter", "feedForward.normAfter"].map { .init($0, width, .weightAndBias) })
    }
    func table(_ name: String, _ count: Int, _ part: ParameterTensor.Part) -> [ParameterTensor] {
        count > 0 ? [ParameterTensor("\(name).weight", [count, width], part, .lookedUp)] : []
    }
    let tables =
        table("tokens", vocabulary, .tokenTable) + table("encoder.positions", biased ? positions : 0, .positionTable)
        + table("encoder.segments", segments, .segmentTable)
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary, context: positions,
        embeddings: tables + Blueprint.Norm("inputNorm", width, .weightAndBias).tensors("encoder"),
        stacks: [
            .init(
                .encoder, own: table("encoder.relative", relative ? rows : 0, .relativePositions), layers: layers)
        ], head: debertaHead(&fields, width: width))
}

/// The head by the class the checkpoint was written by.
private func debertaHead(_ fields: inout ConfigurationFields, width: Int) -> Blueprint.Head {
    let name = fields.className(standard: "Model")
    func classifier(_ rows: ParameterTensor.Rows, _ outputs: Int) -> [ParameterTensor] {
        projection("head.classifier", outputs, width, .head, bias: .present, rows: rows)
    }
    if name.hasSuffix("ForMaskedLM") {
        let transform =
            projection("head.transform", width, width, .headTransform, bias: .present)
            + Blueprint.Norm("norm", width, .weightAndBias).tensors("head.transform")
        return .init(.tied(bias: .present), width: width, before: transform)
    }
    if name.hasSuffix("Model") { return .init(.none, width: width) }
    if name.hasSuffix("ForQuestionAnswering") { return .init(.none, width: width, before: classifier(.own, 2)) }
    let labels = fields.integer("num_labels", standard: 2)
    if name.hasSuffix("ForTokenClassification") { return .init(.none, width: width, before: classifier(.own, labels)) }
    if name.hasSuffix("ForSequenceClassification") {
        let dense = projection("head.dense", width, width, .pooler, bias: .present, rows: .perSequence)
        return .init(.none, width: width, before: dense + classifier(.perSequence, labels))
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
    let hidden = fields.integer("intermediate_size", standard: 1152)
    let vocabulary = fields.integer("vocab_size", standard: 50368)
    let every = fields.integer("global_attn_every_n_layers", standard: 3)
    let window = fields.integer("local_attention", standard: 128)
    let headWidth = fields.quotient(width, heads, "hidden_size over num_attention_heads")
    for key in ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"] where fields.flag(key, standard: false) {
        fields.problem("\(key) = true is not described")
    }
    let layers = (0..<fields.integer("num_hidden_layers", standard: 22)).map { index in
        Blueprint.Layer(
            name: "encoder.\(index)",
            attention: .init(
                queryHeads: heads, keyHeads: heads, headWidth: headWidth,
                reach: index % every == 0 ? .all : .around(window / 2), projections: .fused),
            feedForward: .gated(hidden: hidden, bias: .absent, fused: .present),
            norms: [
                .init("attention.normBefore", width, index == 0 ? .none : .weight),
                .init("feedForward.normBefore", width, .weight),
            ])
    }
    let name = fields.className(standard: "Model")
    var head = Blueprint.Head(.none, width: width)
    if name.hasSuffix("ForMaskedLM") {
        head.projection = .tied(bias: fields.presence(fields.flag("decoder_bias", standard: true)))
        head.before =
            projection("head.transform", width, width, .headTransform)
            + Blueprint.Norm("norm", width, .weight).tensors("head")
    } else if !name.hasSuffix("Model") {
        fields.problem("architectures: the head of \(name) is not described")
    }
    let table = ParameterTensor("tokens.weight", [vocabulary, width], .tokenTable, .lookedUp)
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary,
        context: fields.integer("max_position_embeddings", standard: 8192),
        embeddings: [table] + Blueprint.Norm("norm", width, .weight).tensors("embedding"),
        stacks: [
            .init(.encoder, own: Blueprint.Norm("outputNorm", width, .weight).tensors("encoder"), layers: layers)
        ], head: head)
}
