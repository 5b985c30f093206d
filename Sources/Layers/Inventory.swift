package import MartletTensors

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
