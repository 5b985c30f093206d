internal import MartletLayers

// The tensors of layers that only the planner knows, under the names that our models would give them.

/// What a norm stores.
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
        _ name: String, width: Int, biased: Set<ParameterRole> = [], isFused: Bool = false,
        keysOf source: ParameterUse.Rows = .own
    ) -> [ParameterTensor] {
        func bias(_ role: ParameterRole) -> Architecture.Presence { biased.contains(role) ? .present : .absent }
        var tensors: [ParameterTensor]
        if let latent {
            tensors = latent.tensors(name, self, width: width, bias: bias(.query))
        } else if isFused {
            tensors = projection(
                name + ".queryKeyValue", queryWidth + keyWidth + valuesWidth, width, .queryKeyValue,
                bias: bias(.query))
        } else {
            tensors =
                projection(name + ".query", queryWidth, width, .query, bias: bias(.query))
                + projection(name + ".key", keyWidth, width, .key, bias: bias(.key), rows: source)
                + projection(name + ".value", valuesWidth, width, .value, bias: bias(.value), rows: source)
        }
        tensors += projection(name + ".output", width, outputWidth, .output, bias: bias(.output))
        return tensors
    }
}

extension Blueprint.Attention.Latent {
    fileprivate func tensors(
        _ name: String, _ attention: Blueprint.Attention, width: Int, bias: Architecture.Presence
    ) -> [ParameterTensor] {
        let query =
            queryRank.map { rank in
                projection(name + ".queryDown", rank, width, .latentQuery, bias: bias)
                    + norm(name + ".queryNorm", rank, .weight)
                    + projection(name + ".queryUp", attention.queryWidth, rank, .latentQuery)
            } ?? projection(name + ".query", attention.queryWidth, width, .query)
        let unrotated = attention.headWidth - rotaryWidth
        return query
            + projection(name + ".keyValueDown", keyValueRank + rotaryWidth, width, .latentKeyValue, bias: bias)
            + norm(name + ".keyValueNorm", keyValueRank, .weight)
            + projection(
                name + ".keyValueUp", attention.queryHeads * (unrotated + attention.valueWidth), keyValueRank,
                .latentKeyValue)
    }
}

extension Blueprint.FeedForward {
    /// The matrices within a layer of `width`; experts with biases have them in the router too.
    func tensors(
        _ name: String = "feedForward", width: Int, bias: Architecture.Presence = .absent, isFused: Bool = false
    ) -> [ParameterTensor] {
        switch self {
        case .plain(let hidden):
            return projection(name + ".up", hidden, width, .up, bias: bias)
                + projection(name + ".down", width, hidden, .down, bias: bias)
        case .gated(let hidden):
            let gates =
                isFused
                ? projection(name + ".gateUp", 2 * hidden, width, .gateUp, bias: bias)
                : projection(name + ".gate", hidden, width, .gate, bias: bias)
                    + projection(name + ".up", hidden, width, .up, bias: bias)
            return gates + projection(name + ".down", width, hidden, .down, bias: bias)
        case .experts(let count, let active, let hidden, let sharedHidden):
            func routed(_ matrix: String, _ outputs: Int, _ inputs: Int, _ role: ParameterRole) -> [ParameterTensor] {
                let use = ParameterUse.routed(active: active, of: count)
                let weight = ParameterTensor("\(name).experts.\(matrix).weight", [count, outputs, inputs], role, use)
                let vector = ParameterTensor("\(name).experts.\(matrix).bias", [count, outputs], role, use)
                return bias == .present ? [weight, vector] : [weight]
            }
            let experts =
                projection(name + ".router", count, width, .router, bias: bias) + routed("gate", hidden, width, .gate)
                + routed("up", hidden, width, .up) + routed("down", width, hidden, .down)
            guard sharedHidden > 0 else { return experts }
            return experts + Blueprint.FeedForward.gated(hidden: sharedHidden).tensors(name + ".shared", width: width)
        }
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
