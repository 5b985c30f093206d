import MartletJSON
package import MartletLayers
import MartletTensors

/// The linear layers of a model that can have low-rank adapters, as checkpoints of transformers store them.
package struct AdapterTargets: Sendable {
    /// A stored matrix and the projections that it holds.
    package struct Module: Sendable {
        /// The path of the module in transformers' class.
        package let path: String
        package let inputs, outputs: Int
        /// True where the checkpoint keeps `[inputs, outputs]`.
        package let isTransposed: Bool
        /// Our weights, each with its rows; all when nil.
        let parts: [(name: String, rows: [Int]?)]
    }

    package let modules: [Module]
    /// The prefixes that may stand in front of a path, longest first.
    private let prefixes: [String]
    /// The path of each of our parameters in transformers' class.
    private let paths: [String: String]

    /// - Throws: ``UnsupportedArchitecture`` where the description says more than can be run.
    package init(_ architecture: Architecture, _ family: any Family.Type) throws(UnsupportedArchitecture) {
        let source = ProjectionList()
        _ = try Model(architecture, Scope(source))
        let names = family.names(architecture)
        let shapes = Dictionary(source.inventory.entries.map { ($0.name, $0.shape) }) { first, _ in first }
        let prefix = architecture.isBare ? "" : family.prefixes.first ?? ""
        func path(_ parameter: String, _ name: String) -> String {
            let module = parameter.split(separator: ".").dropLast().joined(separator: ".")
            return family.unprefixed.contains(module) ? name : prefix + name
        }
        var modules: [Module] = []
        var places: [String: Int] = [:]
        for weight in source.weights {
            guard let name = names.resolve(weight), let shape = shapes[weight], shape.rank == 2,
                let stored = AdapterTargets.stored(weight, shape, name.layout, shapes)
            else { continue }
            let path = String(path(weight, name.name).dropLast(".weight".count))
            let part = (name: weight, rows: stored.rows)
            if let place = places[path] {
                let known = modules[place]
                modules[place] = Module(
                    path: path, inputs: known.inputs, outputs: known.outputs, isTransposed: known.isTransposed,
                    parts: known.parts + [part])
            } else {
                places[path] = modules.count
                modules.append(
                    Module(
                        path: path, inputs: shape[1], outputs: stored.outputs, isTransposed: stored.isTransposed,
                        parts: [part]))
            }
        }
        self.modules = modules
        paths = Dictionary(
            source.inventory.entries.compactMap { entry in
                names.resolve(entry.name).map { (entry.name, path(entry.name, $0.name)) }
            }
        ) { first, _ in first }
        prefixes = family.prefixes.filter { !$0.isEmpty }.sorted { $0.utf8.count > $1.utf8.count }
    }

    /// A stored matrix's rows and ours among them; nil where an adapter cannot be told apart by rows (stacked experts).
    private static func stored(
        _ weight: String, _ shape: Shape, _ layout: WeightName.Layout, _ shapes: [String: Shape]
    ) -> (outputs: Int, rows: [Int]?, isTransposed: Bool)? {
        func fused(_ parts: [String], groups: Int) -> (Int, [Int]?) {
            let heights = parts.map { shapes[$0]?[0] ?? 0 }
            let whole = heights.reduce(0, +)
            let first = heights.prefix(parts.firstIndex(of: weight) ?? 0).reduce(0, +)
            let share = shape[0] / groups
            return (whole, (0..<shape[0]).map { $0 / share * (whole / groups) + first / groups + $0 % share })
        }
        switch layout {
        case .asStored, .rotaryPairs, .plus: return (shape[0], nil, false)
        case .transposed: return (shape[0], nil, true)
        case .rows(let parts, let groups):
            let (outputs, rows) = fused(parts, groups: groups)
            return (outputs, rows, false)
        case .transposedRows(let parts):
            let (outputs, rows) = fused(parts, groups: 1)
            return (outputs, rows, true)
        case .stacked, .stackedRows: return nil
        }
    }

    /// Adapters of the modules that a configuration names, to be trained.
    ///
    /// - Throws: ``ModelError`` for a target that no module's path ends in.
    package func layout(_ configuration: AdapterConfiguration) throws(ModelError) -> AdapterLayout {
        let ends = configuration.targets + configuration.ranks.map(\.pattern) + configuration.alphas.map(\.pattern)
        let unknown = ends.filter { end in !modules.contains { AdapterConfiguration.matches($0.path, end) } }
        guard unknown.isEmpty else {
            let known = Set(modules.map { $0.path.split(separator: ".").last.map(String.init) ?? "" }).sorted()
            throw ModelError(
                "adapters: this model has no linear layer \(unknown.map(\.quoted).joined(separator: ", ")); it has "
                    + known.joined(separator: ", "))
        }
        return layout { module in
            guard configuration.isTarget(module.path) else { return nil }
            let rank = configuration.rank(of: module.path)
            return (rank, configuration.scale(of: module.path, rank: rank))
        }
    }

    func layout(_ form: (Module) -> (rank: Int, scale: Float)?) -> AdapterLayout {
        var targets: [AdapterLayout.Target] = []
        var places: [String: AdapterLayout.Place] = [:]
        for module in modules {
            guard let (rank, scale) = form(module) else { continue }
            for part in module.parts { places[part.name] = .init(target: targets.count, rows: part.rows) }
            targets.append(
                .init(
                    module: module.path, inputs: module.inputs, outputs: module.outputs, rank: rank, scale: scale))
        }
        return AdapterLayout(targets: targets, places: places)
    }

    /// The path in transformers' class of the parameter called `name` here: "classifier.weight".
    package func path(of name: String) -> String? { paths[name] }

    /// Returns whether a parameter is part of one of the whole modules that a configuration saves.
    package func isSaved(_ name: String, _ configuration: AdapterConfiguration) -> Bool {
        guard let path = paths[name] else { return false }
        let module = path.split(separator: ".").dropLast().joined(separator: ".")
        return configuration.savedModules.contains { AdapterConfiguration.matches(module, $0) }
    }

    /// A path without what stands in front of the model's own part.
    func plain(_ path: String) -> String {
        for prefix in prefixes where path.hasPrefix(prefix) { return String(path.dropFirst(prefix.utf8.count)) }
        return path
    }
}

extension Architecture {
    /// True where transformers' class is the body alone, whose paths have no prefix.
    fileprivate var isBare: Bool {
        switch head {
        case .none, .pooled: true
        case .sequence(nil, _, .mean): true
        default: false
        }
    }
}

/// A list of projections: which weights are those of linear layers.
private final class ProjectionList: ParameterSource {
    let inventory = Inventory()
    private(set) var weights: [String] = []

    func parameter(_ description: ParameterDescription) -> Parameter { inventory.parameter(description) }
    func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    func decoded(_ parameter: Parameter) -> Parameter { parameter }
    func adapters(of parameter: Parameter) -> [LowRankAdapter] {
        // Tables and the last projections of heads are saved whole, if at all.
        if parameter.role != .tokens && parameter.role != .head { weights.append(parameter.name) }
        return []
    }
}
