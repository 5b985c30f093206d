internal import MartletLayers

/// The parameters of a model, summed by how a layout treats them, with the bytes of their states: what a search over
/// layouts needs of a model, computed once.
struct ParameterGroups: Sendable {
    /// The division of parameters among devices by a layout.
    enum Splitting: Int, Sendable, CaseIterable {
        /// Parameters on every device: vectors, routers, position tables.
        case everywhere
        /// Parameters divided over the tensor-parallel devices.
        case tensor
        /// Parameters divided over the expert-parallel devices too.
        case experts
    }

    /// The elements of some parameters, and the bytes of their states.
    struct Group: Sendable {
        var parameters = 0.0
        var trained = 0.0
        var weights = 0.0
        var gradients = 0.0
        var optimizer = 0.0
    }

    /// Tables, stems and last norms; on the first stage.
    private(set) var outside: [Group]
    /// The head; on the last stage.
    private(set) var head: [Group]
    /// The groups of all layers together.
    private(set) var layers: [Group]
    let layerCount: Int

    init(_ blueprint: Blueprint, recipe: TrainingFootprint.Recipe) {
        let empty = Array(repeating: Group(), count: Splitting.allCases.count)
        (outside, head, layers) = (empty, empty, empty)
        layerCount = blueprint.stacks.reduce(0) { $0 + $1.layers.count }
        for tensor in blueprint.embeddings + blueprint.stacks.flatMap(\.own) {
            outside[ParameterGroups.splitting(tensor).rawValue].add(tensor, recipe)
        }
        for tensor in blueprint.head.tensors {
            head[ParameterGroups.splitting(tensor).rawValue].add(tensor, recipe)
        }
        for stack in blueprint.stacks {
            for layer in stack.layers where layer.sharesParametersOf == nil {
                for tensor in layer.tensors {
                    layers[ParameterGroups.splitting(tensor).rawValue].add(tensor, recipe)
                }
            }
        }
    }

    private static func splitting(_ tensor: ParameterTensor) -> Splitting {
        switch tensor.use {
        case .elementwise: .everywhere
        case .routed: .experts
        case .lookedUp: tensor.role == .tokens ? .tensor : .everywhere
        case .multiplied: tensor.role == .router ? .everywhere : .tensor
        }
    }
}

extension ParameterGroups.Group {
    mutating func add(_ tensor: ParameterTensor, _ recipe: TrainingFootprint.Recipe) {
        let elements = Double(tensor.elements)
        parameters += elements
        guard let adapters = recipe.adapters else {
            guard !recipe.frozen.contains(tensor.role) else {
                weights += elements * Double(recipe.precision.weights)
                return
            }
            trained += elements
            weights += elements * Double(recipe.precision.weights)
            gradients += elements * Double(recipe.precision.gradients)
            optimizer += elements * Double(recipe.precision.master) + Double(recipe.optimizer.stateBytes(tensor))
            return
        }
        weights += Double(Blueprint.storageType(of: tensor, wanted: adapters.base).bytes(tensor.elements))
        guard adapters.roles.contains(tensor.role), tensor.isMatrix else { return }
        let added = Double(adapters.parameters(of: tensor))
        trained += added
        weights += added * Double(recipe.precision.weights)
        gradients += added * Double(recipe.precision.gradients)
        optimizer += added * (Double(recipe.precision.master) + 8)
    }
}

/// The parameters that the fullest device of a layout holds, and the bytes of their states.
struct DeviceShare: Sendable {
    private(set) var parameters = 0.0
    private(set) var trained = 0.0
    /// Parameters of `trained` that are experts', which fewer devices have copies of.
    private(set) var experts = 0.0
    private(set) var weights = 0.0
    private(set) var gradients = 0.0
    private(set) var optimizer = 0.0

    var bytes: Double { weights + gradients + optimizer }

    init(_ groups: ParameterGroups, layout: ParallelLayout) {
        let stageLayers = (groups.layerCount + layout.pipeline - 1) / layout.pipeline
        let scale = groups.layerCount == 0 ? 0 : Double(stageLayers) / Double(groups.layerCount)
        for splitting in ParameterGroups.Splitting.allCases {
            let index = splitting.rawValue
            add(groups.outside[index], 1, splitting, layout)
            if layout.pipeline == 1 { add(groups.head[index], 1, splitting, layout) }
            add(groups.layers[index], scale, splitting, layout)
        }
    }

    private mutating func add(
        _ group: ParameterGroups.Group, _ scale: Double, _ splitting: ParameterGroups.Splitting,
        _ layout: ParallelLayout
    ) {
        // Devices that divide rows have all weights, and learn a part of each matrix.
        var (replicas, learners) = (Double(layout.data), Double(layout.context))
        var part = scale
        switch splitting {
        case .everywhere: learners = 1
        case .tensor: part /= Double(layout.tensor)
        case .experts:
            part /= Double(layout.tensor * layout.expert)
            replicas = Double(layout.expertReplicas)
            experts += group.trained * part
        }
        func share(_ from: ShardingStage) -> Double { layout.sharding.rawValue >= from.rawValue ? replicas : 1 }
        parameters += group.parameters * part
        trained += group.trained * part
        weights += group.weights * part / share(.weights)
        gradients += group.gradients * part / (learners * share(.gradients))
        optimizer += group.optimizer * part / (learners * share(.optimizer))
    }
}
