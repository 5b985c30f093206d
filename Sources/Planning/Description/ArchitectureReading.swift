public import MartletLayers
internal import MartletModels
internal import MartletTensors

extension Blueprint {
    /// The planner's reading of a model that Martlet can describe; where Martlet can also run it, with the very parameters the model
    /// would have.
    public init(_ architecture: Architecture, modelType: String) {
        let width = architecture.width
        let table = architecture.embedding.factorised?.width ?? width
        // Where the projection comes first, positions and norm stand behind it.
        let inner = architecture.embedding.factorised?.order == .projectionThenPositions ? width : table
        var embeddings = [ParameterTensor("tokens.weight", [architecture.vocabulary, table], .tokenTable, .lookedUp)]
        let written = architecture.embedding.targetVocabulary
        if let written {
            embeddings.append(ParameterTensor("targetTokens.weight", [written, table], .tokenTable, .lookedUp))
        }
        let normed = architecture.embedding.factorised?.order == .normThenProjection ? table : width
        let segments = architecture.embedding.segments
        var stacks: [Stack]
        switch architecture.body {
        case .decoder(let stack): stacks = [Stack(stack, .decoder, width: width, table: inner, normed)]
        case .encoder(let stack): stacks = [Stack(stack, .encoder, width: width, table: inner, normed)]
        case .encoderDecoder(let encoder, let decoder):
            stacks = [
                Stack(encoder, .encoder, width: width, table: inner, normed),
                Stack(decoder, .decoder, width: width, table: inner, normed),
            ]
        }
        if segments > 0, let first = stacks.first {
            embeddings.append(
                ParameterTensor("\(first.role.rawValue).segments.weight", [segments, inner], .segmentTable, .lookedUp))
        }
        if let factorised = architecture.embedding.factorised, let first = stacks.first {
            embeddings += projection(
                "\(first.role.rawValue).projection", width, factorised.width, .stem, bias: factorised.bias)
        }
        self.init(
            modelType: modelType, width: width, vocabulary: written ?? architecture.vocabulary,
            context: architecture.context, embeddings: embeddings, stacks: stacks, head: Head(architecture))
        if let counted = try? architecture.inventory() { inventory = Blueprint.named(counted, after: derivedTensors) }
    }

    /// The model's own list of parameters, each with the part it plays by the name it has in the description.
    ///
    /// Experts, which a model lists one by one, are put together again, as the description has them.
    private static func named(_ inventory: Inventory, after derived: [ParameterTensor]) -> [ParameterTensor] {
        let known = Dictionary(derived.map { ($0.name, $0) }) { first, _ in first }
        var tensors: [ParameterTensor] = []
        for entry in inventory.entries where entry.fill != .constant {
            var shape = entry.shape.array
            let steps = entry.name.split(separator: ".")
            var name = entry.name
            if let position = steps.firstIndex(of: "experts"), position + 1 < steps.count,
                let expert = Int(steps[position + 1])
            {
                name = (steps[...position] + steps[(position + 2)...]).joined(separator: ".")
                guard expert == 0 else { continue }
                shape.insert(known[name]?.shape.first ?? 1, at: 0)
            }
            let known = known[name]
            let use: ParameterTensor.Use = known?.use ?? (shape.count >= 2 ? .multiplied(.own) : .elementwise)
            tensors.append(ParameterTensor(name, shape, known?.part ?? .other, use))
        }
        return tensors
    }
}

extension Blueprint.Stack {
    /// - Parameters:
    ///   - table: the width of the tables of positions.
    ///   - normed: that of the norm in front of the first layer.
    fileprivate init(_ stack: Architecture.Stack, _ role: Role, width: Int, table: Int, _ normed: Int) {
        var own: [ParameterTensor] = []
        if case .learned(let positions, let offset) = stack.positions {
            own.append(
                ParameterTensor(
                    "\(role.rawValue).positions.weight", [positions + offset, table], .positionTable, .lookedUp))
        }
        if let norm = stack.inputNorm {
            own += Blueprint.Norm("inputNorm", normed, norm.vectors).tensors(role.rawValue)
        }
        if let norm = stack.outputNorm {
            own += Blueprint.Norm("outputNorm", width, norm.vectors).tensors(role.rawValue)
        }
        if let form = stack.layers.first?.attention {
            own += Blueprint.Stack.scorePositions(form, role.rawValue, width: width)
        }
        if let convolution = stack.convolution {
            let name = "\(role.rawValue).convolution"
            own.append(ParameterTensor("\(name).weight", [width, width, convolution.size], .stem, .multiplied(.own)))
            own.append(ParameterTensor("\(name).bias", [width], .stem, .elementwise))
            own += Blueprint.Norm("norm", width, convolution.norm.vectors).tensors(name)
        }
        let layers = stack.layers.enumerated().map { index, layer in
            Blueprint.Layer(layer, name: "\(role.rawValue).\(index)", width: width)
        }
        self.init(role, own: own, layers: layers)
    }

    /// The tables that the layers of a stack share for what positions do to their scores.
    private static func scorePositions(
        _ form: Architecture.Attention, _ role: String, width: Int
    ) -> [ParameterTensor] {
        switch form.positions {
        case .none, .rotary, .linearBias: return []
        case .buckets(let count, _):
            return [
                ParameterTensor("\(role).distances.weight", [count, form.queryHeads], .relativePositions, .lookedUp)
            ]
        case .disentangled(let positions):
            let rows = [2 * positions.span, width]
            return [ParameterTensor("\(role).relative.weight", rows, .relativePositions, .lookedUp)]
                + (positions.norm.map { Blueprint.Norm("norm", width, $0.vectors).tensors("\(role).relative") } ?? [])
        }
    }
}

extension Blueprint.Layer {
    fileprivate init(_ layer: Architecture.Layer, name: String, width: Int) {
        var norms: [String]
        let cross = layer.crossAttention == nil ? [] : ["crossAttention"]
        let sublayers = ["attention"] + cross + ["feedForward"]
        switch layer.arrangement {
        case .before, .parallelSeparate, .normedResidual: norms = sublayers.map { "\($0).normBefore" }
        case .after: norms = sublayers.map { "\($0).normAfter" }
        case .both: norms = sublayers.flatMap { ["\($0).normBefore", "\($0).normAfter"] }
        case .parallelShared: norms = ["attention.normBefore"]
        }
        self.init(
            name: name, attention: Blueprint.Attention(layer.attention, name + ".attention", width: width),
            crossAttention: layer.crossAttention.map {
                Blueprint.Attention($0, name + ".crossAttention", width: width)
            },
            feedForward: Blueprint.FeedForward(layer.feedForward),
            norms: norms.map { Blueprint.Norm($0, width, layer.norm.vectors) },
            sharesParametersOf: layer.sharesParametersOf)
    }
}

extension Blueprint.Attention {
    fileprivate init(_ attention: Architecture.Attention, _ name: String, width: Int) {
        let biases: Biases =
            switch attention.bias {
            case .none: .none
            case .all: .all
            case .queryKeyValue: .queryKeyValue
            case .output: .output
            }
        let norms = attention.queryKeyNorm.map { norm in
            ["queryNorm", "keyNorm"].map { Blueprint.Norm($0, attention.headWidth, norm.vectors) }
        }
        self.init(
            queryHeads: attention.queryHeads, keyHeads: attention.keyHeads, headWidth: attention.headWidth,
            reach: attention.reach, biases: biases, norms: norms ?? [])
        others =
            Blueprint.Attention.globalProjections(attention, name, width: width)
            + Blueprint.Attention.positionProjections(attention, name, width: width)
    }

    /// Longformer's second projections; where no position is global, nothing passes through them.
    private static func globalProjections(
        _ form: Architecture.Attention, _ name: String, width: Int
    ) -> [ParameterTensor] {
        guard case .aroundAndGlobal(_, let first) = form.reach else { return [] }
        let bias: Architecture.Presence = form.bias == .all || form.bias == .queryKeyValue ? .present : .absent
        let rows: ParameterTensor.Rows = first > 0 ? .own : .fixed(0)
        return MartletPlanning.projection(
            name + ".globalQuery", form.queryWidth, width, .query, bias: bias, rows: .fixed(first))
            + MartletPlanning.projection(name + ".globalKey", form.keyWidth, width, .key, bias: bias, rows: rows)
            + MartletPlanning.projection(name + ".globalValue", form.keyWidth, width, .value, bias: bias, rows: rows)
    }

    /// DeBERTa's projections of relative positions, one pass over the table for each sequence.
    private static func positionProjections(
        _ form: Architecture.Attention, _ name: String, width: Int
    ) -> [ParameterTensor] {
        guard case .disentangled(let positions) = form.positions, positions.projections == .own else { return [] }
        func matrix(_ matrix: String) -> [ParameterTensor] {
            MartletPlanning.projection(
                "\(name).\(matrix)", form.queryWidth, width, .relativePositions, bias: .present,
                rows: .fixed(2 * positions.span))
        }
        return (positions.terms == .positionToContent ? [] : matrix("positionKey"))
            + (positions.terms == .contentToPosition ? [] : matrix("positionQuery"))
    }
}

extension Blueprint.FeedForward {
    fileprivate init(_ form: Architecture.FeedForward) {
        switch form {
        case .plain(let hidden, _, let bias): self = .plain(hidden: hidden, bias: bias)
        case .gated(let hidden, _, let bias): self = .gated(hidden: hidden, bias: bias, fused: .absent)
        case .experts(let experts):
            self = .experts(
                .init(
                    count: experts.count, active: experts.active, hidden: experts.hidden,
                    sharedHidden: experts.shared?.hidden ?? 0, sharedGate: experts.shared == nil ? .absent : .present))
        }
    }
}

extension Architecture.Norm {
    var vectors: Blueprint.Norm.Vectors {
        switch self {
        case .layer: .weightAndBias
        case .unweighted: .none
        case .rms: .weight
        }
    }
}
