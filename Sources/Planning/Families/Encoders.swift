internal import MartletJSON
internal import MartletLayers

/// BERT and what came from it.
let encoderFamilies: [PlannedFamily] = [
    PlannedFamily("bert", "roberta", "xlm-roberta", "camembert", "electra") { fields in bert(&fields) },
    PlannedFamily("distilbert") { fields in
        var model = EncoderShape(
            width: fields.integer("dim", standard: 768), layers: fields.integer("n_layers", standard: 6),
            heads: fields.integer("n_heads", standard: 12), hidden: fields.integer("hidden_dim", standard: 3072),
            vocabulary: fields.integer("vocab_size", standard: 30522),
            positions: fields.integer("max_position_embeddings", standard: 512))
        model.hasPooler = false
        return model.blueprint(&fields)
    },
    PlannedFamily("albert") { fields in
        var model = EncoderShape(&fields, width: 4096, layers: 12, heads: 64, hidden: 16384, vocabulary: 30000)
        model.table = fields.integer("embedding_size", standard: 128)
        let groups = fields.integer("num_hidden_groups", standard: 1)
        if fields.integer("inner_group_num", standard: 1) != 1 {
            fields.problem("inner_group_num above 1 is not described")
        }
        var blueprint = model.blueprint(&fields)
        let layers = model.layers
        for index in 0..<layers {
            let first = (0..<index).first { $0 * groups / layers == index * groups / layers }
            blueprint.stacks[0].layers[index].sharesParametersOf = first
        }
        return blueprint
    },
    PlannedFamily("deberta", "deberta-v2") { fields in deberta(&fields) },
    PlannedFamily("modernbert") { fields in modernBert(&fields) },
]

/// A BERT-like encoder by its sizes.
struct EncoderShape {
    var width: Int
    var layers: Int
    var heads: Int
    var hidden: Int
    var vocabulary: Int
    var positions: Int
    var segments = 0
    /// The width of the token table, when it is not the model's.
    var table: Int?
    var hasPooler = true

    init(width: Int, layers: Int, heads: Int, hidden: Int, vocabulary: Int, positions: Int) {
        (self.width, self.layers, self.heads, self.hidden) = (width, layers, heads, hidden)
        (self.vocabulary, self.positions) = (vocabulary, positions)
    }

    init(_ fields: inout ConfigurationFields, width: Int, layers: Int, heads: Int, hidden: Int, vocabulary: Int) {
        self.init(
            width: fields.integer("hidden_size", standard: width),
            layers: fields.integer("num_hidden_layers", standard: layers),
            heads: fields.integer("num_attention_heads", standard: heads),
            hidden: fields.integer("intermediate_size", standard: hidden),
            vocabulary: fields.integer("vocab_size", standard: vocabulary),
            positions: fields.integer("max_position_embeddings", standard: 512))
        segments = fields.optionalInteger("type_vocab_size") ?? 2
    }

    func blueprint(_ fields: inout ConfigurationFields) -> Blueprint {
        let headWidth = fields.quotient(width, heads, "the width over the heads")
        let table = table ?? width
        let layers = (0..<layers).map { index in
            Blueprint.Layer(
                name: "encoder.\(index)",
                attention: .init(queryHeads: heads, keyHeads: heads, headWidth: headWidth, reach: .all, biases: .all),
                feedForward: .plain(hidden: hidden, bias: .present),
                norms: ["attention.normBefore", "feedForward.normBefore"].map { .init($0, width, .weightAndBias) })
        }
        func rows(_ name: String, _ count: Int, _ part: ParameterTensor.Part) -> [ParameterTensor] {
            count > 0 ? [ParameterTensor("embedding.\(name).weight", [count, table], part, .lookedUp)] : []
        }
        var embeddings =
            rows("tokens", vocabulary, .tokenTable) + rows("positions", positions, .positionTable)
            + rows("segments", segments, .segmentTable)
            + Blueprint.Norm("norm", table, .weightAndBias).tensors("embedding")
        if table != width { embeddings += projection("embedding.projection", width, table, .stem, bias: .present) }
        return Blueprint(
            modelType: fields.modelType, width: width, vocabulary: vocabulary, context: positions > 0 ? positions : nil,
            embeddings: embeddings, stacks: [.init(.encoder, layers: layers)],
            head: encoderHead(&fields, width: width, table: table, pooler: hasPooler))
    }
}

/// The head of an encoder by the class the checkpoint was written by.
func encoderHead(_ fields: inout ConfigurationFields, width: Int, table: Int, pooler: Bool) -> Blueprint.Head {
    let name = fields.className(standard: "Model")
    let pooled = pooler ? projection("pooler", width, width, .pooler, bias: .present, rows: .perSequence) : []
    func classifier(_ rows: ParameterTensor.Rows, _ outputs: Int) -> [ParameterTensor] {
        projection("head.classifier", outputs, width, .head, bias: .present, rows: rows)
    }
    if name.hasSuffix("ForMaskedLM") {
        let transform =
            projection("head.transform", table, width, .headTransform, bias: .present)
            + Blueprint.Norm("norm", table, .weightAndBias).tensors("head")
        return .init(.tied(bias: .present), width: table, before: transform)
    }
    if name.hasSuffix("Model") { return .init(.none, width: width, before: pooled) }
    if name.hasSuffix("ForQuestionAnswering") { return .init(.none, width: width, before: classifier(.own, 2)) }
    let labels = fields.integer("num_labels", standard: 2)
    if name.hasSuffix("ForTokenClassification") { return .init(.none, width: width, before: classifier(.own, labels)) }
    if name.hasSuffix("ForSequenceClassification"), fields.modelType == "bert" || fields.modelType == "albert" {
        return .init(.none, width: width, before: pooled + classifier(.perSequence, labels))
    }
    if name.hasSuffix("ForSequenceClassification") {
        let dense = projection("head.dense", width, width, .headTransform, bias: .present, rows: .perSequence)
        return .init(.none, width: width, before: dense + classifier(.perSequence, labels))
    }
    fields.problem("architectures: the head of \(name) is not described")
    return .init(.none, width: width)
}

private func bert(_ fields: inout ConfigurationFields) -> Blueprint {
    let small = fields.modelType == "electra"
    var model = EncoderShape(
        &fields, width: small ? 256 : 768, layers: 12, heads: small ? 4 : 12, hidden: small ? 1024 : 3072,
        vocabulary: ["roberta", "camembert"].contains(fields.modelType) ? 50265 : 30522)
    if small {
        model.table = fields.integer("embedding_size", standard: 128)
        model.hasPooler = false
    }
    return model.blueprint(&fields)
}

/// DeBERTa: relative positions attend on their own (arXiv:2006.03654).
private func deberta(_ fields: inout ConfigurationFields) -> Blueprint {
    let second = fields.modelType == "deberta-v2"
    var model = EncoderShape(
        &fields, width: second ? 1536 : 768, layers: second ? 24 : 12, heads: second ? 24 : 12,
        hidden: second ? 6144 : 3072, vocabulary: second ? 128100 : 50265)
    model.segments = fields.optionalInteger("type_vocab_size") ?? 0
    model.hasPooler = false
    let longest = model.positions
    if !fields.flag("position_biased_input", standard: true) { model.positions = 0 }
    if fields.optionalInteger("conv_kernel_size") ?? 0 > 0 {
        fields.problem("conv_kernel_size above 0 is not described")
    }
    var blueprint = model.blueprint(&fields)
    blueprint.context = longest
    guard fields.flag("relative_attention", standard: false) else { return blueprint }
    let kinds = Set((fields.list("pos_att_type") ?? []).compactMap(\.stringValue))
    let relative = fields.optionalRelative("max_relative_positions") ?? longest
    let rows = 2 * (second ? fields.optionalRelative("position_buckets") ?? relative : relative)
    let shared = second && fields.flag("share_att_key", standard: false)
    for index in blueprint.stacks[0].layers.indices {
        let name = blueprint.stacks[0].layers[index].name + ".attention"
        var others: [ParameterTensor] = []
        if kinds.contains("c2p"), !shared {
            others += projection(
                name + ".positionKey", model.width, model.width, .relativePositions, bias: fields.presence(second),
                rows: .fixed(rows))
        }
        if kinds.contains("p2c"), !shared {
            others += projection(
                name + ".positionQuery", model.width, model.width, .relativePositions, bias: .present,
                rows: .fixed(rows))
        }
        if !second {
            blueprint.stacks[0].layers[index].attention.biases = .output
            blueprint.stacks[0].layers[index].attention.projections = .fused
            for vector in ["queryBias", "valueBias"] {
                others.append(ParameterTensor("\(name).\(vector)", [model.width], .queryKeyValue, .elementwise))
            }
        }
        blueprint.stacks[0].layers[index].attention.others = others
    }
    var own = [
        ParameterTensor("encoder.relativePositions.weight", [rows, model.width], .relativePositions, .lookedUp)
    ]
    if second, fields.text("norm_rel_ebd", standard: "none") == "layer_norm" {
        own += Blueprint.Norm("relativeNorm", model.width, .weightAndBias).tensors("encoder")
    }
    blueprint.stacks[0].own = own
    return blueprint
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
