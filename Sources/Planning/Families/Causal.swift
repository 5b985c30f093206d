internal import MartletLayers

/// What decoder-only models have in common; a family fills in where it differs.
struct Causal {
    var width: Int
    var layers: Int
    var vocabulary: Int
    var context: Int?
    var attention: Blueprint.Attention
    var feedForward: Blueprint.FeedForward
    var normVectors: Blueprint.Norm.Vectors
    var norms = ["attention_norm", "feed_forward_norm"]
    var finalNorm = ["output_norm"]
    var head: Blueprint.Head.Projection
    /// Rows of a learned table of positions; 0 when there is none.
    var positions = 0

    /// The stack with `layer` applied to each of its layers.
    func blueprint(
        _ modelType: String, each vary: (Int, inout Blueprint.Layer) -> Void = { _, _ in }
    ) -> Blueprint {
        let layers = (0..<layers).map { index in
            var layer = Blueprint.Layer(
                name: "decoder.layers.\(index)", attention: attention, feedForward: feedForward,
                norms: norms.map { Blueprint.Norm($0, width, normVectors) })
            vary(index, &layer)
            return layer
        }
        var embeddings = [ParameterTensor("embedding.tokens.weight", [vocabulary, width], .tokenTable, .lookedUp)]
        if positions > 0 {
            embeddings.append(ParameterTensor("embedding.positions.weight", [positions, width], .positionTable, .lookedUp))
        }
        let own = finalNorm.flatMap { Blueprint.Norm($0, width, normVectors).tensors("decoder") }
        return Blueprint(
            modelType: modelType, width: width, vocabulary: vocabulary, context: context, embeddings: embeddings,
            stacks: [.init(.decoder, own: own, layers: layers)], head: .init(head, width: width))
    }
}

extension ConfigurationFields {
    /// The head that a causal model of class `name` has.
    mutating func causalHead(tied: Bool, bias: Architecture.Presence = .absent) -> Blueprint.Head.Projection {
        let name = className(standard: "ForCausalLM")
        if name.hasSuffix("ForCausalLM") || name.hasSuffix("LMHeadModel") { return tied ? .tied(bias: bias) : .own(bias: bias) }
        if !name.hasSuffix("Model") { problem("architectures: the head of \(name) is not known") }
        return .none
    }

    func presence(_ flag: Bool) -> Architecture.Presence { flag ? .present : .absent }
}
