package import MartletTensors

/// The role of a parameter in a transformer: what LoRA targets, frozen parts, llama.cpp's mixes of types and cuts by
/// tensor parallelism go by.
///
/// A bias has the role of the projection that it belongs to; the two are told apart by ``ParameterUse``.
package enum ParameterRole: String, Sendable, Hashable, Codable, CaseIterable {
    /// The token table `[vocabulary, width]`, also where it is the output projection too.
    case tokens
    /// The table of per-layer embeddings `[vocabulary, layers · width]`.
    case perLayerTokens
    /// Learned input positions `[positions, width]`.
    case positions
    /// The segment table `[segments, width]`: BERT's sentences A and B.
    case segments
    /// Parameters between the tables and the layers: factorised embeddings, convolutions, patches of a picture.
    case stem
    case query, key, value
    /// Query, key and value in one matrix, as many files keep them.
    case queryKeyValue
    /// The output projection of an attention.
    case output
    /// Multi-head latent attention (arXiv:2405.04434): to and from the low-rank vectors of queries, and of keys and
    /// values.
    case latentQuery, latentKeyValue
    /// Tables and projections of relative positions: T5's buckets, DeBERTa.
    case relativePositions
    case gate, up
    /// Gate and up in one matrix.
    case gateUp
    case down, router
    case norm
    /// The projection to the vocabulary or to labels.
    case head
    /// The dense layer between the hidden states and the head's projection.
    case headTransform
    /// The dense layer over the row that stands for a whole sequence.
    case pooler
    case other

    /// The axis along which tensor parallelism cuts a matrix `[outputs, inputs]` of this role (arXiv:1909.08053); nil
    /// for what every device has whole.
    package var cut: Axis? {
        switch self {
        case .tokens, .query, .key, .value, .queryKeyValue, .gate, .up, .gateUp, .head: .outputs
        case .output, .down: .inputs
        default: nil
        }
    }

    /// An axis of a matrix `[outputs, inputs]`.
    package enum Axis: String, Sendable, Hashable, Codable { case outputs, inputs }
}

/// The use of a parameter in a pass, which says what it costs.
package enum ParameterUse: Sendable, Hashable {
    /// An embedding lookup: one row of the table is copied for each token.
    case lookedUp
    /// Every row of `Rows` is multiplied by the matrix: two operations per element and row.
    case multiplied(Rows)
    /// An element-wise operation, addition or scaling: biases and norms.
    case elementwise
    /// Part of one of `count` experts, of which each row meets `active`.
    case routed(active: Int, of: Int)

    /// The rows that are multiplied by a matrix.
    package enum Rows: Sendable, Hashable {
        /// The rows of the stack that the matrix is in.
        case own
        /// The rows of the encoder: keys and values of cross-attention.
        case source
        /// One row per sequence: poolers and classifiers.
        case perSequence
        /// A fixed number of rows per sequence, whatever its length: relative positions, patches, global positions.
        case fixed(Int)
    }
}

/// The place of a parameter in a model's stacks of layers.
package struct ParameterPlace: Sendable, Hashable {
    /// The stack of layers, by the name that its parameters begin with.
    package enum Stack: String, Sendable, Hashable, Codable { case encoder, decoder }

    package let stack: Stack
    /// The layer in the stack; nil for what belongs to the stack itself: positions, its first and last norm.
    package let layer: Int?

    package init(_ stack: Stack, layer: Int? = nil) { (self.stack, self.layer) = (stack, layer) }
}

/// The description of a parameter as a model asks for it: name, shape, role, use and place, with how it begins. No
/// numbers.
package struct ParameterDescription: Sendable, Hashable {
    /// Our path: "decoder.0.attention.query.weight".
    package let name: String
    package let shape: Shape
    package let fill: Fill
    package let role: ParameterRole
    package let use: ParameterUse
    /// The place in a stack; nil for what stands outside of the stacks: token tables and heads.
    package let place: ParameterPlace?
    /// The number of the expert, in the mixture of its layer, that the parameter is of; nil for all others.
    package let expert: Int?

    package init(
        _ name: String, _ shape: Shape, _ fill: Fill, role: ParameterRole = .other, use: ParameterUse? = nil,
        place: ParameterPlace? = nil, expert: Int? = nil
    ) {
        (self.name, self.shape, self.fill, self.role) = (name, shape, fill, role)
        (self.place, self.expert) = (place, expert)
        self.use = use ?? (shape.rank > 1 ? .multiplied(.own) : .elementwise)
    }

    /// This parameter in layer `index` of its stack.
    ///
    /// - Precondition: it is in a layer.
    package func moved(to index: Int) -> ParameterDescription {
        guard let place, let layer = place.layer else { preconditionFailure("\(name) is in no layer") }
        let rest = name.dropFirst("\(place.stack.rawValue).\(layer).".count)
        return ParameterDescription(
            "\(place.stack.rawValue).\(index).\(rest)", shape, fill, role: role, use: use,
            place: ParameterPlace(place.stack, layer: index), expert: expert)
    }

    /// The number of the layer that the parameter is in; nil outside of layers.
    package var layer: Int? { place?.layer }

    /// The axis along which tensor parallelism cuts the parameter; a bias is cut where the outputs of its matrix are.
    package var cut: ParameterRole.Axis? {
        guard use == .elementwise, role.cut == .inputs else { return role.cut }
        return nil
    }
}
