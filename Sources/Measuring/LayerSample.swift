internal import MartletLayers
internal import MartletModels
internal import MartletTensors

/// A model with few of its layers and no weights: what this engine takes for one layer of each form can be timed with it.
///
/// Layers are of one form when their description and the types of their matrices are the same.
struct Miniature {
    /// Layers of one form in one stack.
    struct Form {
        let role: Blueprint.Stack.Role
        /// The layer that stands for them.
        let example: Int
        let count: Int
    }

    let architecture: Architecture
    let forms: [Form]
    private let types: (String) -> ElementType

    /// - Parameters:
    ///   - matrices: the names of the model's parameters.
    ///   - types: how each is stored.
    init(_ architecture: Architecture, matrices: [String], types: @escaping (String) -> ElementType) {
        (self.architecture, self.types) = (architecture, types)
        var typesOfLayer: [String: [String]] = [:]
        for name in matrices {
            let steps = name.split(separator: ".", maxSplits: 2)
            guard steps.count == 3 else { continue }
            typesOfLayer["\(steps[0]).\(steps[1])", default: []].append("\(steps[2]) \(types(name))")
        }
        forms = architecture.stacks.flatMap { role, stack in
            var forms: [(layer: Architecture.Layer, types: [String], form: Form)] = []
            for (index, layer) in stack.layers.enumerated() {
                var alone = layer
                alone.sharesParametersOf = nil
                let own = typesOfLayer["\(role.rawValue).\(layer.sharesParametersOf ?? index)"] ?? []
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

    /// One layer of each form, and `more` of form `index` besides.
    ///
    /// - Returns: the model, and the bytes of its packed matrices.
    func model(adding more: Int = 0, ofForm index: Int = 0, from pool: EmptyWeights.Pool? = nil) throws(PlanningError)
        -> (model: Model, bytes: Int)
    {
        var examples: [Blueprint.Stack.Role: [Int]] = [:]
        for (position, form) in forms.enumerated() {
            let copies = position == index ? 1 + more : 1
            examples[form.role, default: []] += Array(repeating: form.example, count: copies)
        }
        var smaller = architecture
        smaller.body =
            switch architecture.body {
            case .decoder(let stack): .decoder(Miniature.cut(stack, examples[.decoder] ?? []))
            case .encoder(let stack): .encoder(Miniature.cut(stack, examples[.encoder] ?? []))
            case .encoderDecoder(let encoder, let decoder):
                .encoderDecoder(
                    Miniature.cut(encoder, examples[.encoder] ?? []), Miniature.cut(decoder, examples[.decoder] ?? []))
            }
        let types = types
        let source = EmptyWeights(
            types: { types(Miniature.original($0, examples)) }, pool: pool)
        do {
            let model = try Model(smaller, Scope(source))
            return (model, source.packedBytes)
        } catch {
            throw .impossible(error.description)
        }
    }

    /// The stack with the layers at `examples` alone; layers that share parameters share them with the first of their form.
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

    /// The name that a parameter of the miniature has in the whole model.
    private static func original(_ name: String, _ examples: [Blueprint.Stack.Role: [Int]]) -> String {
        let steps = name.split(separator: ".", maxSplits: 2)
        guard steps.count == 3, let role = Blueprint.Stack.Role(rawValue: String(steps[0])), let index = Int(steps[1]),
            let layers = examples[role], index < layers.count
        else { return name }
        return "\(steps[0]).\(layers[index]).\(steps[2])"
    }
}

extension Architecture {
    /// The stacks in the order in which they run.
    var stacks: [(role: Blueprint.Stack.Role, stack: Stack)] {
        switch body {
        case .decoder(let stack): [(.decoder, stack)]
        case .encoder(let stack): [(.encoder, stack)]
        case .encoderDecoder(let encoder, let decoder): [(.encoder, encoder), (.decoder, decoder)]
        }
    }
}
