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

    /// The elements.
    ///
    /// - Precondition: the parameter does not come from an inventory.
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

    /// The ranks that divide the rows of a pass; nil, the default, where all are here.
    var rowRanks: (any RowRanks)? { get }
}

extension ParameterSource {
    package func statistics(of parameter: Parameter) -> InputStatistics? { nil }
    package func adapters(of parameter: Parameter) -> [LowRankAdapter] { [] }
    package var operands: ElementType { .f32 }
    package func experts(at place: ParameterPlace) -> ExpertDivision? { nil }
    package var rowRanks: (any RowRanks)? { nil }
}
