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
        let segments = architecture.embedding.segments
        var stacks: [Stack]
        switch architecture.body {
        case .decoder(let stack): stacks = [Stack(stack, .decoder, width: width, table: inner)]
        case .encoder(let stack): stacks = [Stack(stack, .encoder, width: width, table: inner)]
        case .encoderDecoder(let encoder, let decoder):
            stacks = [
                Stack(encoder, .encoder, width: width, table: inner),
                Stack(decoder, .decoder, width: width, table: inner),
            ]
        }
        if segments > 0, let first = stacks.first {
            embeddings.append(
                ParameterTensor("\(first.role.rawValue).segments.weight", [segments, table], .segmentTable, .lookedUp))
        }
        if let factorised = architecture.embedding.factorised, let first = stacks.first {
            embeddings += projection(
                "\(first.role.rawValue).projection", width, factorised.width, .stem, bias: factorised.bias)
        }
        self.init(
            modelType: modelType, width: width, vocabulary: architecture.vocabulary, context: architecture.context,
            embeddings: embeddings, stacks: stacks, head: Head(architecture))
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
    fileprivate init(_ stack: Architecture.Stack, _ role: Role, width: Int, table: Int) {
        var own: [ParameterTensor] = []
        if case .learned(let positions, let offset) = stack.positions {
            own.append(
                ParameterTensor(
                    "\(role.rawValue).positions.weight", [positions + offset, table], .positionTable, .lookedUp))
        }
        if let norm = stack.inputNorm { own += Blueprint.Norm("inputNorm", table, norm.vectors).tensors(role.rawValue) }
        if let norm = stack.outputNorm {
            own += Blueprint.Norm("outputNorm", width, norm.vectors).tensors(role.rawValue)
        }
        if case .buckets(let buckets, _) = stack.layers.first?.attention.positions {
            let heads = stack.layers.first?.attention.queryHeads ?? 0
            own.append(
                ParameterTensor("\(role.rawValue).buckets.weight", [buckets, heads], .relativePositions, .lookedUp))
        }
        let layers = stack.layers.enumerated().map { index, layer in
            Blueprint.Layer(layer, name: "\(role.rawValue).\(index)", width: width)
        }
        self.init(role, own: own, layers: layers)
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
            name: name, attention: Blueprint.Attention(layer.attention),
            crossAttention: layer.crossAttention.map(Blueprint.Attention.init),
            feedForward: Blueprint.FeedForward(layer.feedForward),
            norms: norms.map { Blueprint.Norm($0, width, layer.norm.vectors) },
            sharesParametersOf: layer.sharesParametersOf)
    }
}

extension Blueprint.Attention {
    fileprivate init(_ attention: Architecture.Attention) {
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

extension Blueprint.Head {
    fileprivate init(_ architecture: Architecture) {
        let head: Architecture.TokenHead
        switch architecture.head {
        case .tokens(let form), .pretraining(let form, _): head = form
        case .none, .pooled, .nextSentence, .sequence, .rows, .answers:
            self.init(.none, width: architecture.width)
            return
        }
        let bias: Architecture.Presence = head.bias == .present ? .present : .absent
        if let transform = head.transform {
            let dense = MartletPlanning.projection(
                "head.transform", transform.width, architecture.width, .headTransform, bias: .present)
            let projection: Projection = head.weights == .tied ? .tied(bias: bias) : .own(bias: bias)
            self.init(projection, width: transform.width, before: dense)
            return
        }
        let narrow = architecture.embedding.factorised?.width
        self.init(
            head.weights == .tied ? .tied(bias: bias) : .own(bias: bias), width: narrow ?? architecture.width,
            before: narrow.map { MartletPlanning.projection("head.narrowing", $0, architecture.width, .headTransform) }
                ?? [])
    }
}

extension Architecture.Norm {
    fileprivate var vectors: Blueprint.Norm.Vectors {
        switch self {
        case .layer: .weightAndBias
        case .unweighted: .none
        case .rms: .weight
        }
    }
}
