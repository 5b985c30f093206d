internal import MartletLayers

extension Blueprint {
    /// Every parameter of the model once, in the order in which a token meets them.
    ///
    /// Where the model can run, this is the list that the model itself hands out.
    public var tensors: [ParameterTensor] { inventory ?? derivedTensors }

    /// The parameters as the description implies them.
    package var derivedTensors: [ParameterTensor] {
        embeddings + stacks.flatMap(\.tensors) + head.tensors(vocabulary: vocabulary)
    }
}

extension Blueprint.Stack {
    /// The parameters of the stack; layers that share another's have none of their own.
    var tensors: [ParameterTensor] {
        own + layers.filter { $0.sharesParametersOf == nil }.flatMap { $0.tensors(width: width) }
    }

    /// The width of the residual stream here.
    var width: Int { layers.first?.norms.first?.width ?? 0 }
}

extension Blueprint.Layer {
    /// The parameters that a row of `width` elements passes.
    func tensors(width: Int) -> [ParameterTensor] {
        attention.tensors(name + ".attention", width: width, source: .own)
            + (crossAttention?.tensors(name + ".crossAttention", width: width, source: .source) ?? [])
            + feedForward.tensors(name + ".feedForward", width: width)
            + norms.flatMap { $0.tensors(name) } + others
    }
}

extension Blueprint.Norm {
    func tensors(_ prefix: String) -> [ParameterTensor] {
        ["weight", "bias"].prefix(vectors.rawValue).map { vector in
            ParameterTensor("\(prefix).\(name).\(vector)", [width], .norm, .elementwise)
        }
    }
}

/// A matrix [outputs, inputs] and its vector, where it has one.
func projection(
    _ name: String, _ outputs: Int, _ inputs: Int, _ part: ParameterTensor.Part,
    bias: Architecture.Presence = .absent, rows: ParameterTensor.Rows = .own
) -> [ParameterTensor] {
    let matrix = ParameterTensor(name + ".weight", [outputs, inputs], part, .multiplied(rows))
    let vector = ParameterTensor(name + ".bias", [outputs], part, .elementwise)
    return bias == .present ? [matrix, vector] : [matrix]
}

extension Blueprint.Attention {
    func tensors(_ name: String, width: Int, source: ParameterTensor.Rows) -> [ParameterTensor] {
        func bias(_ which: Biases) -> Architecture.Presence { biases.contains(which) ? .present : .absent }
        var tensors: [ParameterTensor]
        switch projections {
        case .separate:
            tensors =
                projection(name + ".query", queryWidth, width, .query, bias: bias(.query))
                + projection(name + ".key", keyWidth, width, .key, bias: bias(.key), rows: source)
                + projection(name + ".value", valuesWidth, width, .value, bias: bias(.value), rows: source)
        case .fused:
            tensors = projection(
                name + ".queryKeyValue", queryWidth + keyWidth + valuesWidth, width, .queryKeyValue,
                bias: bias(.queryKeyValue))
        case .latent(let queryRank, let rank, let rotary):
            tensors = latentTensors(name, width, queryRank: queryRank, rank: rank, rotary: rotary, bias(.query))
        }
        tensors += projection(name + ".output", width, outputWidth, .attentionOutput, bias: bias(.output))
        return tensors + norms.flatMap { $0.tensors(name) } + others
    }

    private func latentTensors(
        _ name: String, _ width: Int, queryRank: Int?, rank: Int, rotary: Int, _ bias: Architecture.Presence
    ) -> [ParameterTensor] {
        let query =
            queryRank.map { queryRank in
                projection(name + ".queryDown", queryRank, width, .latentQuery, bias: bias)
                    + Blueprint.Norm("queryNorm", queryRank, .weight).tensors(name)
                    + projection(name + ".queryUp", queryWidth, queryRank, .latentQuery)
            } ?? projection(name + ".query", queryWidth, width, .query)
        let unrotated = headWidth - rotary
        return query
            + projection(name + ".keyValueDown", rank + rotary, width, .latentKeyValue, bias: bias)
            + Blueprint.Norm("keyValueNorm", rank, .weight).tensors(name)
            + projection(name + ".keyValueUp", queryHeads * (unrotated + valueWidth), rank, .latentKeyValue)
    }
}

extension Blueprint.FeedForward {
    func tensors(_ name: String, width: Int) -> [ParameterTensor] {
        switch self {
        case .plain(let hidden, let bias):
            projection(name + ".up", hidden, width, .up, bias: bias)
                + projection(name + ".down", width, hidden, .down, bias: bias)
        case .gated(let hidden, let bias, fused: .present):
            projection(name + ".gateUp", 2 * hidden, width, .gateUp, bias: bias)
                + projection(name + ".down", width, hidden, .down, bias: bias)
        case .gated(let hidden, let bias, fused: .absent):
            projection(name + ".gate", hidden, width, .gate, bias: bias)
                + projection(name + ".up", hidden, width, .up, bias: bias)
                + projection(name + ".down", width, hidden, .down, bias: bias)
        case .experts(let experts): experts.tensors(name, width: width)
        }
    }
}

extension Blueprint.FeedForward.Experts {
    func tensors(_ name: String, width: Int) -> [ParameterTensor] {
        func routed(_ matrix: String, _ outputs: Int, _ inputs: Int, _ part: ParameterTensor.Part) -> [ParameterTensor]
        {
            let use = ParameterTensor.Use.routed(active: active)
            let weight = ParameterTensor("\(name).experts.\(matrix).weight", [count, outputs, inputs], part, use)
            let vector = ParameterTensor("\(name).experts.\(matrix).bias", [count, outputs], part, use)
            return bias == .present ? [weight, vector] : [weight]
        }
        var tensors =
            projection(name + ".router", count, width, .router, bias: bias)
            + routed("gate", hidden, width, .gate) + routed("up", hidden, width, .up)
            + routed("down", width, hidden, .down)
        if sharedHidden > 0 {
            tensors += Blueprint.FeedForward.gated(hidden: sharedHidden, bias: .absent, fused: .absent)
                .tensors(name + ".shared", width: width)
        }
        if sharedGate == .present { tensors += projection(name + ".sharedGate", 1, width, .router) }
        return tensors
    }
}

extension Blueprint.Head {
    func tensors(vocabulary: Int) -> [ParameterTensor] {
        func vector(_ bias: Architecture.Presence) -> [ParameterTensor] {
            bias == .present ? [ParameterTensor("head.bias", [vocabulary], .head, .elementwise)] : []
        }
        switch projection {
        case .none: return before
        case .own(let bias):
            return before + [ParameterTensor("head.weight", [vocabulary, width], .head, .multiplied(.own))]
                + vector(bias)
        case .tied(let bias): return before + vector(bias)
        }
    }
}
