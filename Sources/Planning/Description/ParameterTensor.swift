package import MartletLayers
internal import MartletTensors

/// A tensor of a model: its name, its shape, the role it plays and how often a token meets it. The experts of a layer
/// are one tensor.
package struct ParameterTensor: Sendable, Hashable {
    package var name: String
    /// Outermost dimension first; an empty shape is a single number.
    package var shape: [Int]
    package var role: ParameterRole
    package var use: ParameterUse
    /// The number of the layer that it is in; nil outside of layers.
    package var layer: Int?

    package init(_ name: String, _ shape: [Int], _ role: ParameterRole, _ use: ParameterUse, layer: Int? = nil) {
        (self.name, self.shape, self.role, self.use, self.layer) = (name, shape, role, use, layer)
    }

    /// A parameter of a model that runs; of a matrix of the first expert that of all of them.
    init(_ description: ParameterDescription) {
        var shape = description.shape.array
        if case .routed(_, let count) = description.use { shape.insert(count, at: 0) }
        self.init(
            ParameterTensor.name(of: description), shape, description.role, description.use, layer: description.layer)
    }

    /// The name that an expert shares with the others of its layer: "….experts.up.weight"; of all else its own.
    package static func name(of description: ParameterDescription) -> String {
        guard case .routed = description.use else { return description.name }
        var steps = description.name.split(separator: ".")
        if let expert = steps.lastIndex(where: { Int($0) != nil }) { steps.remove(at: expert) }
        return steps.joined(separator: ".")
    }

    /// The number of elements.
    package var elements: Count { shape.reduce(1) { $0 * Count($1) } }

    /// The elements that one token meets: all but those of the experts it is not sent to.
    package var activeElements: Count {
        guard case .routed(let active, let experts) = use, experts > 0 else { return elements }
        return elements / Count(experts) * Count(min(active, experts))
    }

    /// True where every row of the tensor takes part in a matrix product.
    package var isMatrix: Bool {
        switch use {
        case .multiplied: true
        case .routed: shape.count == 3
        case .lookedUp, .elementwise: false
        }
    }

    /// The name without the last two steps, the projection and its "weight" or "bias".
    var module: Substring {
        let steps = name.split(separator: ".")
        return steps.count < 3 ? "" : name[..<steps[steps.count - 3].endIndex]
    }
}
