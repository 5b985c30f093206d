public import MartletTensors

/// One learned array: its name in the model, and its elements as stored, row-major, of any type.
///
/// Tied weights are one `Parameter` held in two places.
public final class Parameter: Sendable {
    /// Our path: "decoder.0.attention.query.weight".
    public let name: String
    public let shape: Shape
    /// Nil in an inventory, which only counts.
    public let value: Tensor?

    public init(name: String, shape: Shape, value: Tensor?) {
        precondition(value.map { $0.shape == shape } ?? true, "\(name): \(shape), but a value of \(value?.shape ?? [])")
        (self.name, self.shape, self.value) = (name, shape, value)
    }

    /// The elements. - Precondition: the parameter does not come from an inventory.
    package var tensor: Tensor {
        guard let value else { preconditionFailure("\(name): an inventory has no values") }
        return value
    }
}

/// How a parameter begins when a model is trained from nothing.
public enum Fill: Sendable, Hashable {
    case zeros, ones
    /// Zeros that are no parameter: a checkpoint may hold other numbers, training leaves them alone.
    case constant
    case normal(deviation: Float)
}

/// Where layers get their parameters: a checkpoint, a seeded initialiser, or an inventory that only counts.
public protocol ParameterSource: AnyObject {
    /// The parameter at our path `name`. Sources check names and shapes before any layer asks (see `Inventory`).
    func parameter(_ name: String, shape: Shape, fill: Fill) -> Parameter

    /// The matrix in the layout that products stream, or nil where nothing will be computed or the weight will change.
    func packed(_ parameter: Parameter) -> PackedMatrix?

    /// A vector (norm weight, bias) or small table as f32.
    func decoded(_ parameter: Parameter) -> Parameter

    /// Where the rows that meet the matrix `parameter` are to be counted; nil, the default, where nobody asks.
    func statistics(of parameter: Parameter) -> InputStatistics?

    /// What matrices that are not packed are multiplied as: f32, the default, or bf16.
    var operands: ElementType { get }
}

extension ParameterSource {
    public func statistics(of parameter: Parameter) -> InputStatistics? { nil }
    public var operands: ElementType { .f32 }
}

/// A place in a model's tree of names, and the source behind it.
public struct Scope {
    package let source: any ParameterSource
    package let path: String

    package init(_ source: any ParameterSource, path: String = "") { (self.source, self.path) = (source, path) }

    package subscript(_ name: String) -> Scope { Scope(source, path: path.isEmpty ? name : "\(path).\(name)") }
    package subscript(_ index: Int) -> Scope { self["\(index)"] }

    /// A matrix, kept in its stored type.
    package func matrix(_ name: String, _ shape: Shape, _ fill: Fill) -> Parameter {
        source.parameter(self[name].path, shape: shape, fill: fill)
    }

    /// Numbers that a checkpoint holds and that are no parameter, kept in f32.
    package func constant(_ name: String, _ shape: Shape) -> Parameter { vector(name, shape, .constant) }

    /// A vector or small table, kept in f32.
    package func vector(_ name: String, _ shape: Shape, _ fill: Fill) -> Parameter {
        source.decoded(matrix(name, shape, fill))
    }
}

/// Writes down every parameter a model asks for, and allocates nothing: what the planner counts and what a checkpoint is checked against.
public final class Inventory: ParameterSource {
    public struct Entry: Sendable, Hashable {
        public let name: String
        public let shape: Shape
        public let fill: Fill
    }

    /// In the order of construction; a tied parameter stands once.
    public private(set) var entries: [Entry] = []

    public init() {}

    public func parameter(_ name: String, shape: Shape, fill: Fill) -> Parameter {
        entries.append(Entry(name: name, shape: shape, fill: fill))
        return Parameter(name: name, shape: shape, value: nil)
    }

    public func packed(_ parameter: Parameter) -> PackedMatrix? { nil }
    public func decoded(_ parameter: Parameter) -> Parameter { parameter }

    /// Elements of all parameters; constants do not count.
    public var total: Int { entries.reduce(0) { $0 + ($1.fill == .constant ? 0 : $1.shape.elements) } }
}

/// Fills parameters from a seed: each from a stream of its own, named by its path, so that adding a layer changes no other.
public final class SeededInitialiser: ParameterSource {
    private let seed: UInt64
    private let device: Device
    private let deviation: Float?

    /// - Parameter deviation: of all normal fills, in place of their own.
    public init(seed: UInt64, device: Device, deviation: Float? = nil) {
        (self.seed, self.device, self.deviation) = (seed, device, deviation)
    }

    public func parameter(_ name: String, shape: Shape, fill: Fill) -> Parameter {
        let values: [Float] =
            switch fill {
            case .zeros, .constant: Array(repeating: 0, count: shape.elements)
            case .ones: Array(repeating: 1, count: shape.elements)
            case .normal(let deviation):
                Random(seed: seed, stream: SeededInitialiser.stream(of: name)).normals(
                    shape.elements, deviation: self.deviation ?? deviation)
            }
        return Parameter(name: name, shape: shape, value: Tensor(values, shape: shape))
    }

    public func packed(_ parameter: Parameter) -> PackedMatrix? { PackedMatrix(parameter.tensor, on: device) }
    public func decoded(_ parameter: Parameter) -> Parameter { parameter }

    /// FNV-1a, 64 bits, over the UTF-8 of a name.
    private static func stream(of name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
