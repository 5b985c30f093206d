package import MartletTensors

/// A parameter, one learned array: its name in the model, and its elements as stored, row-major, of any type.
///
/// Tied weights are one `Parameter` held in two places.
package final class Parameter: Sendable {
    /// Name, shape, role and use.
    package let description: ParameterDescription
    /// The elements; nil in an inventory, which only counts.
    package let value: Tensor?
    /// The division of a matrix among ranks, of whose value then a part of the outputs alone is here; nil where it is
    /// whole.
    package let division: Division?

    /// The division of a matrix among ranks.
    package struct Division: Sendable {
        /// The columns of this rank's inputs, `[outputs, own inputs]`.
        package let columns: Tensor
        package let ranks: any MatrixRanks

        package init(columns: Tensor, ranks: any MatrixRanks) { (self.columns, self.ranks) = (columns, ranks) }
    }

    package var name: String { description.name }
    package var shape: Shape { description.shape }
    package var role: ParameterRole { description.role }

    package init(_ description: ParameterDescription, value: Tensor?, division: Division? = nil) {
        precondition(
            value.map { $0.shape == description.shape } ?? true,
            "\(description.name): \(description.shape), but a value of \(value?.shape ?? [])")
        (self.description, self.value, self.division) = (description, value, division)
    }

    /// This parameter in another shape of as many elements.
    package func reshaped(_ shape: Shape) -> Parameter {
        precondition(division == nil, "\(name): a divided matrix under another shape")
        let same = ParameterDescription(
            name, shape, description.fill, role: role, use: description.use, place: description.place,
            expert: description.expert)
        return Parameter(same, value: value.map { $0.reshaped(shape) })
    }

    /// This parameter with other numbers.
    package func with(_ value: Tensor?) -> Parameter { Parameter(description, value: value, division: division) }

    /// The elements. - Precondition: the parameter does not come from an inventory.
    package var tensor: Tensor {
        guard let value else { preconditionFailure("\(name): an inventory has no values") }
        return value
    }

    /// The matrix as ranks divide it; nil where it is whole.
    package var divided: DividedMatrix? {
        division.map { DividedMatrix(weight: tensor, columns: $0.columns, ranks: $0.ranks) }
    }
}

/// The initialisation of a parameter when a model is trained from nothing.
package enum Fill: Sendable, Hashable {
    case zeros, ones
    /// A number that is no parameter: a checkpoint may hold others, training leaves them alone.
    case constant(Float)
    case normal(deviation: Float)

    /// True where a parameter of this kind is none that learns.
    package var isConstant: Bool { if case .constant = self { true } else { false } }
}

/// A source of parameters for layers: a checkpoint, a seeded initialiser, or an inventory that only counts.
package protocol ParameterSource: AnyObject {
    /// The parameter that a layer describes. Sources check names and shapes before any layer asks (see `Inventory`).
    func parameter(_ description: ParameterDescription) -> Parameter

    /// The matrix in the layout that products stream, or nil where nothing will be computed or the weight will change.
    func packed(_ parameter: Parameter) -> PackedMatrix?

    /// A vector (norm weight, bias) or small table as f32.
    func decoded(_ parameter: Parameter) -> Parameter

    /// Statistics of the rows that meet the matrix `parameter`, where they are to be counted; nil, the default, where
    /// nobody asks.
    func statistics(of parameter: Parameter) -> InputStatistics?

    /// The low-rank adapters of the matrix `parameter`, in the order in which they are added; none, the default, where
    /// nobody adapts.
    func adapters(of parameter: Parameter) -> [LowRankAdapter]

    /// The element type that matrices which are not packed are multiplied as: f32, the default, or bf16.
    var operands: ElementType { get }

    /// The division of the experts of the layer at `place` among ranks; nil, the default, where all are here.
    func experts(at place: ParameterPlace) -> ExpertDivision?
}

extension ParameterSource {
    package func statistics(of parameter: Parameter) -> InputStatistics? { nil }
    package func adapters(of parameter: Parameter) -> [LowRankAdapter] { [] }
    package var operands: ElementType { .f32 }
    package func experts(at place: ParameterPlace) -> ExpertDivision? { nil }
}

/// A place in a model's tree of names with the source behind it, and what passes do with the parameters there.
package struct Scope {
    package let source: any ParameterSource
    package private(set) var path: String
    private var place: ParameterPlace?
    /// The use of matrices here: the rows they are multiplied with, or the experts they belong to.
    private var products = ParameterUse.multiplied(.own)
    private var expert: Int?

    package init(_ source: any ParameterSource, path: String = "") { (self.source, self.path) = (source, path) }

    package subscript(_ name: String) -> Scope {
        var scope = self
        scope.path = path.isEmpty ? name : "\(path).\(name)"
        return scope
    }
    package subscript(_ index: Int) -> Scope { self["\(index)"] }

    /// The stack of that name.
    package subscript(_ stack: ParameterPlace.Stack) -> Scope {
        var scope = self[stack.rawValue]
        scope.place = ParameterPlace(stack)
        return scope
    }

    /// The stack that this scope is, or is in.
    package var stack: ParameterPlace.Stack? { place?.stack }

    /// Layer `index` of the stack that this scope is.
    package func layer(_ index: Int) -> Scope {
        var scope = self[index]
        scope.place = place.map { ParameterPlace($0.stack, layer: index) }
        return scope
    }

    /// This place, where other rows than the stack's own are multiplied by the matrices.
    package func multiplying(_ rows: ParameterUse.Rows) -> Scope {
        var scope = self
        scope.products = .multiplied(rows)
        return scope
    }

    /// The place of expert `index`, of `count`, `active` of which each row meets.
    package func expert(_ index: Int, active: Int, of count: Int) -> Scope {
        var scope = self[index]
        (scope.products, scope.expert) = (.routed(active: active, of: count), index)
        return scope
    }

    /// The division of the experts of this layer among ranks; nil where all are here.
    var dividedExperts: ExpertDivision? { place.flatMap { source.experts(at: $0) } }

    /// A matrix `[outputs, inputs]`, kept in its stored type.
    package func matrix(_ name: String, _ shape: Shape, _ fill: Fill, _ role: ParameterRole) -> Parameter {
        parameter(name, shape, fill, role, products)
    }

    /// A table whose rows are looked up, kept in its stored type.
    package func table(_ name: String, _ shape: Shape, _ role: ParameterRole) -> Parameter {
        parameter(name, shape, .normal(deviation: 0.02), role, .lookedUp)
    }

    /// Numbers that a checkpoint holds and that are no parameter, kept in f32; `value` where it holds none.
    package func constant(_ name: String, _ shape: Shape, _ role: ParameterRole, value: Float = 0) -> Parameter {
        vector(name, shape, .constant(value), role)
    }

    /// A vector or small table, kept in f32.
    package func vector(_ name: String, _ shape: Shape, _ fill: Fill, _ role: ParameterRole) -> Parameter {
        var use = ParameterUse.elementwise
        if case .routed = products { use = products }
        return source.decoded(parameter(name, shape, fill, role, use))
    }

    private func parameter(
        _ name: String, _ shape: Shape, _ fill: Fill, _ role: ParameterRole, _ use: ParameterUse
    ) -> Parameter {
        source.parameter(
            ParameterDescription(self[name].path, shape, fill, role: role, use: use, place: place, expert: expert))
    }
}

/// An inventory of parameters, which writes down every one a model asks for, and allocates nothing: what the planner
/// counts and what a checkpoint is checked against.
package final class Inventory: ParameterSource {
    package typealias Entry = ParameterDescription

    /// The parameters in the order of construction; a tied one stands once.
    package private(set) var entries: [Entry] = []

    package init() {}

    /// Some parameters of a model.
    package init(_ entries: [Entry]) { self.entries = entries }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        entries.append(description)
        return Parameter(description, value: nil)
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    package func decoded(_ parameter: Parameter) -> Parameter { parameter }

    /// Elements of all parameters; constants do not count.
    package var total: Int { entries.reduce(0) { $0 + ($1.fill.isConstant ? 0 : $1.shape.elements) } }
}

/// An initialiser that fills parameters from a seed: each from a stream of its own, named by its path, so that adding a
/// layer changes no other.
package final class SeededInitialiser: ParameterSource {
    private let seed: UInt64
    private let device: Device
    private let deviation: Float?

    /// - Parameter deviation: of all normal fills, in place of their own.
    package init(seed: UInt64, device: Device, deviation: Float? = nil) {
        (self.seed, self.device, self.deviation) = (seed, device, deviation)
    }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        let count = description.shape.elements
        let values: [Float] =
            switch description.fill {
            case .zeros: Array(repeating: 0, count: count)
            case .constant(let value): Array(repeating: value, count: count)
            case .ones: Array(repeating: 1, count: count)
            case .normal(let deviation):
                Random(seed: seed, stream: SeededInitialiser.stream(of: description.name)).normals(
                    count, deviation: self.deviation ?? deviation)
            }
        return Parameter(description, value: Tensor(values, shape: description.shape))
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? { PackedMatrix(parameter.tensor, on: device) }
    package func decoded(_ parameter: Parameter) -> Parameter { parameter }

    /// FNV-1a, 64 bits, over the UTF-8 of a name.
    private static func stream(of name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
