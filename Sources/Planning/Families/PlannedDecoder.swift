internal import MartletLayers

/// What decoder-only models that only the planner knows have in common: RMSNorm before attention and feed-forward.
struct PlannedDecoder {
    var width: Int
    var layers: Int
    var vocabulary: Int
    var context: Int?
    var attention: Blueprint.Attention
    var feedForward: Blueprint.FeedForward
    /// The projections of attention that add a vector.
    var biased: Set<ParameterRole> = []
    /// Whether router and experts add vectors.
    var feedForwardBias = Architecture.Presence.absent
    var head: Blueprint.Head.Projection

    /// The model, with `vary` applied to each of its layers before their tensors are listed.
    func blueprint(
        _ modelType: String, each vary: (Int, inout Blueprint.Layer) -> Void = { _, _ in }
    ) -> Blueprint {
        let layers = (0..<layers).map { index in
            var layer = Blueprint.Layer(
                name: "decoder.\(index)", attention: attention, feedForward: feedForward, norms: 2, tensors: [])
            vary(index, &layer)
            layer.tensors +=
                layer.attention.tensors("attention", width: width, biased: biased)
                + layer.feedForward.tensors(width: width, bias: feedForwardBias)
                + ["attention", "feedForward"].flatMap { norm("\($0).normBefore", width, .weight) }
            return layer
        }
        return Blueprint(
            modelType: modelType, width: width, vocabulary: vocabulary, context: context,
            embeddings: [ParameterTensor("tokens.weight", [vocabulary, width], .tokens, .lookedUp)],
            stacks: [
                .init(.decoder, width: width, own: norm("decoder.outputNorm", width, .weight), layers: layers)
            ], head: .init(head, vocabulary: vocabulary, width: width))
    }
}

extension ConfigurationFields {
    /// The head that a causal model of the class the checkpoint was written by has.
    mutating func causalHead(tied: Bool) -> Blueprint.Head.Projection {
        let name = className(standard: "ForCausalLM")
        if name.hasSuffix("ForCausalLM") || name.hasSuffix("LMHeadModel") { return tied ? .tied : .own }
        if !name.hasSuffix("Model") { problem("architectures: the head of \(name) is not described") }
        return .none
    }

    func presence(_ flag: Bool) -> Architecture.Presence { flag ? .present : .absent }
}
