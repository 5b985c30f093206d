package import MartletTensors

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
