internal import MartletLayers

// The tensors of layers that only the planner knows, under the names that our models would give them.

/// The vectors that a norm stores.
enum NormVectors: Int, Sendable { case none = 0, weight, weightAndBias }

func norm(_ name: String, _ width: Int, _ vectors: NormVectors) -> [ParameterTensor] {
    ["weight", "bias"].prefix(vectors.rawValue).map { ParameterTensor("\(name).\($0)", [width], .norm, .elementwise) }
}

/// A matrix [outputs, inputs] and its vector, where it has one.
func projection(
    _ name: String, _ outputs: Int, _ inputs: Int, _ role: ParameterRole, bias: Architecture.Presence = .absent,
    rows: ParameterUse.Rows = .own
) -> [ParameterTensor] {
    let matrix = ParameterTensor(name + ".weight", [outputs, inputs], role, .multiplied(rows))
    let vector = ParameterTensor(name + ".bias", [outputs], role, .elementwise)
    return bias == .present ? [matrix, vector] : [matrix]
}

extension Blueprint.Attention {
    /// The projections within a layer of `width`, those of `biased` with a vector.
    func tensors(
        _ name: String, width: Int, biased: Set<ParameterRole> = [], keysOf source: ParameterUse.Rows = .own
    ) -> [ParameterTensor] {
        func bias(_ role: ParameterRole) -> Architecture.Presence { biased.contains(role) ? .present : .absent }
        return projection(name + ".query", queryWidth, width, .query, bias: bias(.query))
            + projection(name + ".key", keyWidth, width, .key, bias: bias(.key), rows: source)
            + projection(name + ".value", valuesWidth, width, .value, bias: bias(.value), rows: source)
            + projection(name + ".output", width, outputWidth, .output, bias: bias(.output))
    }
}

extension Blueprint.FeedForward {
    /// The matrices within a layer of `width`.
    ///
    /// - Precondition: no experts.
    func tensors(
        _ name: String = "feedForward", width: Int, bias: Architecture.Presence = .absent
    ) -> [ParameterTensor] {
        let (hidden, isGated): (Int, Bool) =
            switch self {
            case .plain(let hidden): (hidden, false)
            case .gated(let hidden): (hidden, true)
            case .experts: preconditionFailure("tensors: experts are listed by the model that runs")
            }
        return (isGated ? projection(name + ".gate", hidden, width, .gate, bias: bias) : [])
            + projection(name + ".up", hidden, width, .up, bias: bias)
            + projection(name + ".down", width, hidden, .down, bias: bias)
    }
}

extension Blueprint.Head {
    /// A projection to the vocabulary behind `before`; where it is tied, only its vector is its own.
    init(
        _ projection: Projection, vocabulary: Int, width: Int, bias: Architecture.Presence = .absent,
        before: [ParameterTensor] = []
    ) {
        var tensors = before
        if projection == .own {
            tensors.append(ParameterTensor("head.weight", [vocabulary, width], .head, .multiplied(.own)))
        }
        if bias == .present { tensors.append(ParameterTensor("head.bias", [vocabulary], .head, .elementwise)) }
        self.init(projection, width: width, tensors: tensors)
    }
}
