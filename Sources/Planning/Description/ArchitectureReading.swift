package import MartletLayers
internal import MartletModels

extension Blueprint {
    /// The cost of a model that runs: its own list of parameters, each where the model has it, with the forms of its
    /// attentions.
    ///
    /// - Throws: ``PlanningError/impossible(_:)`` for a description that says more than can be run.
    package init(_ architecture: Architecture, modelType: String) throws(PlanningError) {
        let entries: [ParameterDescription]
        do { entries = try architecture.inventory().entries.filter { !$0.fill.isConstant } } catch {
            throw .impossible(error.description)
        }
        let parameters = PlacedParameters(entries)
        let stacks = architecture.stacks.map { role, stack in
            let layers = stack.layers.enumerated().map { index, layer in
                let owner = layer.sharesParametersOf ?? index
                return Layer(
                    layer, name: "\(role.rawValue).\(index)",
                    tensors: parameters.ofLayer[ParameterPlace(role, layer: owner)] ?? [])
            }
            return Stack(role, width: architecture.width, own: parameters.ofStack[role] ?? [], layers: layers)
        }
        let isTable: (ParameterTensor) -> Bool = { $0.role == .tokens }
        self.init(
            modelType: modelType, width: architecture.width,
            vocabulary: architecture.embedding.targetVocabulary ?? architecture.vocabulary,
            context: architecture.context, embeddings: parameters.outside.filter(isTable), stacks: stacks,
            head: Head(architecture, parameters.outside.filter { !isTable($0) }))
        self.architecture = architecture
    }
}

/// A model's parameters by their place: in a layer, in a stack beside its layers, or in neither. Of a layer's routed
/// experts the first stands for all.
private struct PlacedParameters {
    private(set) var outside: [ParameterTensor] = []
    private(set) var ofStack: [ParameterPlace.Stack: [ParameterTensor]] = [:]
    private(set) var ofLayer: [ParameterPlace: [ParameterTensor]] = [:]

    init(_ entries: [ParameterDescription]) {
        var seen: Set<String> = []
        for entry in entries {
            var tensor = ParameterTensor(entry)
            if case .routed = entry.use, !seen.insert(tensor.name).inserted { continue }
            guard let place = entry.place else {
                outside.append(tensor)
                continue
            }
            guard let layer = place.layer else {
                ofStack[place.stack, default: []].append(tensor)
                continue
            }
            tensor.name.removeFirst("\(place.stack.rawValue).\(layer).".count)
            tensor.layer = nil
            ofLayer[place, default: []].append(tensor)
        }
    }
}

extension Blueprint.Layer {
    fileprivate init(_ form: Architecture.Layer, name: String, tensors: [ParameterTensor]) {
        self.init(
            name: name, attention: .init(form.attention), crossAttention: form.crossAttention.map { .init($0) },
            feedForward: .init(form.feedForward), norms: form.streamNorms, tensors: tensors,
            sharesParametersOf: form.sharesParametersOf)
    }
}

extension Architecture.Layer {
    /// The number of norms over the residual stream, also those that have nothing to learn.
    fileprivate var streamNorms: Int {
        let sublayers = crossAttention == nil ? 2 : 3
        return switch arrangement {
        case .before, .after, .afterSublayer, .parallelSeparate, .normedResidual: sublayers
        case .both: 2 * sublayers
        case .afterTwice: sublayers + 1
        case .parallelShared, .beforeFeedForward: 1
        }
    }
}

extension Blueprint.Head {
    fileprivate init(_ architecture: Architecture, _ tensors: [ParameterTensor]) {
        switch architecture.head {
        case .tokens(let form), .pretraining(let form, _):
            let width = form.transform?.width ?? architecture.embedding.factorised?.width ?? architecture.width
            self.init(form.weights == .tied ? .tied : .own, width: width, tensors: tensors)
        case .none, .pooled, .nextSentence, .sequence, .rows, .answers:
            self.init(.none, width: architecture.width, tensors: tensors)
        }
    }
}
