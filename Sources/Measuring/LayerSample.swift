internal import MartletLayers
internal import MartletModels
internal import MartletPlanning
internal import MartletTensors

/// A sample of a model: few of its layers, without weights, with which one layer of each form can be timed.
///
/// Layers are of one form when their description and the types of their matrices are the same.
struct LayerSample {
    /// Layers of one form in one stack.
    struct Form {
        let role: ParameterPlace.Stack
        /// The layer that stands for them.
        let example: Int
        let count: Int
    }

    let architecture: Architecture
    let forms: [Form]
    private let types: StoredTypes

    /// - Parameters:
    ///   - matrices: of the whole model.
    ///   - types: how each is stored.
    init(_ architecture: Architecture, matrices: [ParameterDescription], types: @escaping StoredTypes) {
        (self.architecture, self.types) = (architecture, types)
        // In the order in which layers of one form ask for their matrices.
        var typesOfLayer: [ParameterPlace: [ElementType]] = [:]
        for matrix in matrices {
            if let place = matrix.place, place.layer != nil { typesOfLayer[place, default: []].append(types(matrix)) }
        }
        forms = architecture.stacks.flatMap { role, stack in
            var forms: [(layer: Architecture.Layer, types: [ElementType], form: Form)] = []
            for (index, layer) in stack.layers.enumerated() {
                var alone = layer
                alone.sharesParametersOf = nil
                let own = typesOfLayer[ParameterPlace(role, layer: layer.sharesParametersOf ?? index)] ?? []
                if let known = forms.firstIndex(where: { $0.layer == alone && $0.types == own }) {
                    let form = forms[known].form
                    forms[known].form = Form(role: role, example: form.example, count: form.count + 1)
                } else {
                    forms.append((alone, own, Form(role: role, example: index, count: 1)))
                }
            }
            return forms.map(\.form)
        }
    }

    /// A model of one layer of each form, and `more` of form `index` besides.
    ///
    /// - Returns: the model, and the bytes of its packed matrices.
    func model(adding more: Int = 0, ofForm index: Int = 0, from pool: EmptyWeights.Pool? = nil) throws(PlanningError)
        -> (model: Model, bytes: Int)
    {
        var examples: [ParameterPlace.Stack: [Int]] = [:]
        for (position, form) in forms.enumerated() {
            let copies = position == index ? 1 + more : 1
            examples[form.role, default: []] += Array(repeating: form.example, count: copies)
        }
        var smaller = architecture
        smaller.body =
            switch architecture.body {
            case .decoder(let stack): .decoder(LayerSample.cut(stack, examples[.decoder] ?? []))
            case .encoder(let stack): .encoder(LayerSample.cut(stack, examples[.encoder] ?? []))
            case .encoderDecoder(let encoder, let decoder):
                .encoderDecoder(
                    LayerSample.cut(encoder, examples[.encoder] ?? []),
                    LayerSample.cut(decoder, examples[.decoder] ?? []))
            }
        let types = types
        let source = EmptyWeights(
            types: { types(LayerSample.original($0, examples)) }, pool: pool)
        do {
            let model = try Model(smaller, Scope(source))
            return (model, source.packedBytes)
        } catch {
            throw .impossible(error.description)
        }
    }

    /// The stack with the layers at `examples` alone; layers that share parameters share them with the first of their
    /// form.
    private static func cut(_ stack: Architecture.Stack, _ examples: [Int]) -> Architecture.Stack {
        var result = stack
        result.layers = examples.enumerated().map { position, example in
            var layer = stack.layers[example]
            let isShared = layer.sharesParametersOf != nil || stack.layers.contains { $0.sharesParametersOf == example }
            let first = examples.firstIndex(of: example) ?? position
            layer.sharesParametersOf = isShared && first < position ? first : nil
            return layer
        }
        return result
    }

    /// The parameter of the whole model that a parameter of the sample stands for.
    private static func original(
        _ parameter: ParameterDescription, _ examples: [ParameterPlace.Stack: [Int]]
    ) -> ParameterDescription {
        guard let place = parameter.place, let index = place.layer, let layers = examples[place.stack],
            index < layers.count
        else { return parameter }
        return parameter.moved(to: layers[index])
    }
}
