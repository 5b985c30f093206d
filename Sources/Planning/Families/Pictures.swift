internal import MartletLayers

/// ViT and CLIP: a picture cut into patches, each a row.
let pictureFamilies: [PlannedFamily] = [
    PlannedFamily("vit") { fields in
        let tower = PictureTower(&fields, patch: 16)
        let width = tower.width
        let name = fields.className(standard: "Model")
        let head =
            name.hasSuffix("ForImageClassification")
            ? projection(
                "head.classifier", fields.integer("num_labels", standard: 2), width, .head, bias: .present,
                rows: .perSequence)
            : projection("pooler", width, width, .pooler, bias: .present, rows: .perSequence)
        return Blueprint(
            modelType: fields.modelType, width: width, vocabulary: 0, context: nil, embeddings: [],
            stacks: [tower.stack(patchBias: .present, norms: ["outputNorm"])],
            head: .init(.none, width: width, tensors: head))
    },
    PlannedFamily("clip") { fields in clip(&fields) },
]

/// The layers over the patches of one picture and a vector for the whole.
private struct PictureTower {
    var width: Int
    var layers: Int
    var hidden: Int
    var attention: Blueprint.Attention
    var biased: Set<ParameterRole>
    var patch: Int
    var channels: Int
    var patches: Int

    init(_ fields: inout ConfigurationFields, patch: Int) {
        width = fields.integer("hidden_size", standard: 768)
        layers = fields.integer("num_hidden_layers", standard: 12)
        hidden = fields.integer("intermediate_size", standard: 3072)
        self.patch = fields.integer("patch_size", standard: patch)
        channels = fields.integer("num_channels", standard: 3)
        let side = fields.quotient(
            fields.integer("image_size", standard: 224), self.patch, "image_size over patch_size")
        patches = side * side
        let heads = fields.integer("num_attention_heads", standard: 12)
        attention = .init(
            queryHeads: heads, keyHeads: heads,
            headWidth: fields.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .all)
        biased = fields.flag("qkv_bias", standard: true) ? [.query, .key, .value, .output] : [.output]
    }

    func stack(patchBias: Architecture.Presence, norms: [String]) -> Blueprint.Stack {
        var own = [
            ParameterTensor("vision.whole", [width], .other, .elementwise),
            ParameterTensor("vision.positions.weight", [patches + 1, width], .positions, .lookedUp),
            ParameterTensor(
                "vision.patches.weight", [width, channels, patch, patch], .stem, .multiplied(.fixed(patches))),
        ]
        if patchBias == .present { own.append(ParameterTensor("vision.patches.bias", [width], .stem, .elementwise)) }
        own += norms.flatMap { norm("vision.\($0)", width, .weightAndBias) }
        return .init(
            .encoder, length: .fixed(patches + 1), width: width, own: own,
            layers: pictureLayers("vision", layers, width: width, attention, biased, hidden: hidden))
    }
}

private func pictureLayers(
    _ tower: String, _ count: Int, width: Int, _ attention: Blueprint.Attention, _ biased: Set<ParameterRole>,
    hidden: Int
) -> [Blueprint.Layer] {
    let feedForward = Blueprint.FeedForward.plain(hidden: hidden)
    let tensors =
        attention.tensors("attention", width: width, biased: biased)
        + feedForward.tensors(width: width, bias: .present)
        + ["attention", "feedForward"].flatMap { norm("\($0).normBefore", width, .weightAndBias) }
    return (0..<count).map { index in
        Blueprint.Layer(
            name: "\(tower).\(index)", attention: attention, feedForward: feedForward, norms: 2, tensors: tensors)
    }
}

/// CLIP: a tower for text and one for pictures, each projected to the space in which they are compared
/// (arXiv:2103.00020).
private func clip(_ fields: inout ConfigurationFields) -> Blueprint {
    var text = fields.nested("text_config")
    let width = text.integer("hidden_size", standard: 512)
    let heads = text.integer("num_attention_heads", standard: 8)
    let vocabulary = text.integer("vocab_size", standard: 49408)
    let positions = text.integer("max_position_embeddings", standard: 77)
    let attention = Blueprint.Attention(
        queryHeads: heads, keyHeads: heads,
        headWidth: text.quotient(width, heads, "hidden_size over num_attention_heads"), reach: .past)
    let layers = pictureLayers(
        "text", text.integer("num_hidden_layers", standard: 12), width: width, attention,
        [.query, .key, .value, .output], hidden: text.integer("intermediate_size", standard: 2048))
    fields.absorb(text, from: "text_config")

    var vision = fields.nested("vision_config")
    let tower = PictureTower(&vision, patch: 32)
    fields.absorb(vision, from: "vision_config")

    let shared = fields.integer("projection_dim", standard: 512)
    let head =
        projection("text.projection", shared, width, .pooler, rows: .perSequence)
        + projection("vision.projection", shared, tower.width, .pooler, rows: .perSequence)
        + [ParameterTensor("logit_scale", [], .other, .elementwise)]
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary, context: positions,
        embeddings: [
            ParameterTensor("tokens.weight", [vocabulary, width], .tokens, .lookedUp),
            ParameterTensor("decoder.positions.weight", [positions, width], .positions, .lookedUp),
        ],
        stacks: [
            .init(
                .encoder, width: width, own: norm("text.outputNorm", width, .weightAndBias), layers: layers),
            tower.stack(patchBias: .absent, norms: ["inputNorm", "outputNorm"]),
        ], head: .init(.none, width: width, tensors: head))
}
