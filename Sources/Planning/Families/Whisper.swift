internal import MartletLayers

/// Whisper: two convolutions over the spectrum of half a minute, then BART's layers with the norm in front
/// (arXiv:2212.04356).
let whisperFamily = PlannedFamily("whisper") { fields in whisper(&fields) }

/// The layers, one per index, with cross-attention in decoders.
private func layers(
    _ role: Blueprint.Stack.Role, _ count: Int, width: Int, attention: Blueprint.Attention,
    feedForward: Blueprint.FeedForward
) -> [Blueprint.Layer] {
    let biased: Set<ParameterRole> = [.query, .value, .output]
    var attention = attention
    attention.reach = role == .decoder ? .past : .all
    var cross = attention
    cross.reach = .all
    var sublayers = ["attention", "feedForward"]
    var tensors =
        attention.tensors("attention", width: width, biased: biased) + feedForward.tensors(width: width, bias: .present)
    if role == .decoder {
        sublayers.append("crossAttention")
        tensors += cross.tensors("crossAttention", width: width, biased: biased, keysOf: .source)
    }
    tensors += sublayers.flatMap { norm("\($0).normBefore", width, .weightAndBias) }
    return (0..<count).map { index in
        Blueprint.Layer(
            name: "\(role.rawValue).\(index)", attention: attention,
            crossAttention: role == .decoder ? cross : nil, feedForward: feedForward, norms: sublayers.count,
            tensors: tensors)
    }
}

/// The head of a sequence-to-sequence model of this class.
private func sequenceHead(_ fields: inout ConfigurationFields, width: Int) -> Blueprint.Head {
    let name = fields.className(standard: "ForConditionalGeneration")
    if name.hasSuffix("Model") { return .init(.none, width: width) }
    if !name.hasSuffix("ForConditionalGeneration") {
        fields.problem("architectures: the head of \(name) is not described")
    }
    return .init(.tied, width: width)
}

private func whisper(_ fields: inout ConfigurationFields) -> Blueprint {
    let width = fields.integer("d_model", standard: 384)
    let frames = fields.integer("max_source_positions", standard: 1500)
    let positions = fields.integer("max_target_positions", standard: 448)
    let bands = fields.integer("num_mel_bins", standard: 80)
    let vocabulary = fields.integer("vocab_size", standard: 51865)
    func stack(_ role: Blueprint.Stack.Role, own: [ParameterTensor], _ length: Blueprint.Stack.Length)
        -> Blueprint.Stack
    {
        let heads = fields.integer("\(role.rawValue)_attention_heads", standard: 6)
        let attention = Blueprint.Attention(
            queryHeads: heads, keyHeads: heads, headWidth: fields.quotient(width, heads, "d_model over heads"),
            reach: .all)
        return .init(
            role, length: length, width: width, own: own + norm("\(role.rawValue).outputNorm", width, .weightAndBias),
            layers: layers(
                role, fields.integer("\(role.rawValue)_layers", standard: 4), width: width, attention: attention,
                feedForward: .plain(hidden: fields.integer("\(role.rawValue)_ffn_dim", standard: 1536))))
    }
    func convolution(_ name: String, _ inputs: Int, rows: Int) -> [ParameterTensor] {
        [
            ParameterTensor("encoder.\(name).weight", [width, inputs, 3], .stem, .multiplied(.fixed(rows))),
            ParameterTensor("encoder.\(name).bias", [width], .stem, .elementwise),
        ]
    }
    let sound =
        convolution("convolution1", bands, rows: 2 * frames) + convolution("convolution2", width, rows: frames)
        + [ParameterTensor("encoder.positions.weight", [frames, width], .positions, .lookedUp)]
    let text = [ParameterTensor("decoder.positions.weight", [positions, width], .positions, .lookedUp)]
    return Blueprint(
        modelType: fields.modelType, width: width, vocabulary: vocabulary, context: positions,
        embeddings: [ParameterTensor("tokens.weight", [vocabulary, width], .tokens, .lookedUp)],
        stacks: [stack(.encoder, own: sound, .fixed(frames)), stack(.decoder, own: text, .tokens)],
        head: sequenceHead(&fields, width: width))
}
