internal import MartletLayers

/// What decoder-only models have in common; a family, or a user with a model of their own, fills in where it differs.
public struct DecoderShape: Sendable {
    public var width: Int
    public var layers: Int
    public var vocabulary: Int
    public var context: Int?
    public var attention: Blueprint.Attention
    public var feedForward: Blueprint.FeedForward
    public var normVectors: Blueprint.Norm.Vectors
    /// The norms of each layer; one name where attention and feed-forward run side by side behind one norm.
    public var norms = ["attention.normBefore", "feedForward.normBefore"]
    public var finalNorm = ["outputNorm"]
    public var head: Blueprint.Head.Projection
    /// Rows of a learned table of positions; 0 when there is none.
    public var positions = 0

    public init(
        width: Int, layers: Int, vocabulary: Int, context: Int?, attention: Blueprint.Attention,
        feedForward: Blueprint.FeedForward, normVectors: Blueprint.Norm.Vectors,
        norms: [String] = ["attention.normBefore", "feedForward.normBefore"], finalNorm: [String] = ["outputNorm"],
        head: Blueprint.Head.Projection, positions: Int = 0
    ) {
        (self.width, self.layers, self.vocabulary, self.context) = (width, layers, vocabulary, context)
        (self.attention, self.feedForward, self.normVectors) = (attention, feedForward, normVectors)
        (self.norms, self.finalNorm, self.head, self.positions) = (norms, finalNorm, head, positions)
    }

    /// The model, with `vary` applied to each of its layers.
    public func blueprint(
        _ modelType: String, each vary: (Int, inout Blueprint.Layer) -> Void = { _, _ in }
    ) -> Blueprint {
        let layers = (0..<layers).map { index in
            var layer = Blueprint.Layer(
                name: "decoder.\(index)", attention: attention, feedForward: feedForward,
                norms: norms.map { Blueprint.Norm($0, width, normVectors) })
            vary(index, &layer)
            return layer
        }
        var embeddings = [ParameterTensor("tokens.weight", [vocabulary, width], .tokenTable, .lookedUp)]
        if positions > 0 {
            embeddings.append(
                ParameterTensor("decoder.positions.weight", [positions, width], .positionTable, .lookedUp))
        }
        let own = finalNorm.flatMap { Blueprint.Norm($0, width, normVectors).tensors("decoder") }
        return Blueprint(
            modelType: modelType, width: width, vocabulary: vocabulary, context: context, embeddings: embeddings,
            stacks: [.init(.decoder, own: own, layers: layers)], head: .init(head, width: width))
    }
}

extension ConfigurationFields {
    /// The head that a causal model of the class the checkpoint was written by has.
    mutating func causalHead(tied: Bool, bias: Architecture.Presence = .absent) -> Blueprint.Head.Projection {
        let name = className(standard: "ForCausalLM")
        if name.hasSuffix("ForCausalLM") || name.hasSuffix("LMHeadModel") {
            return tied ? .tied(bias: bias) : .own(bias: bias)
        }
        if !name.hasSuffix("Model") { problem("architectures: the head of \(name) is not described") }
        return .none
    }

    func presence(_ flag: Bool) -> Architecture.Presence { flag ? .present : .absent }
}
