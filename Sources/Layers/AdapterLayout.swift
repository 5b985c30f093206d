import MartletTensors

/// The layout of low-rank adapters: which projections of a model have them, and how their factors are called and
/// shared.
///
/// An adapter belongs to a tensor as a checkpoint stores it: where that is a fused one (GPT-2's `c_attn`), its
/// projections share A and have rows of B each.
package struct AdapterLayout: Sendable {
    /// A stored tensor that has an adapter.
    package struct Target: Sendable, Hashable {
        /// The path of the module that a checkpoint keeps: "model.layers.0.self_attn.q_proj".
        package let module: String
        package let inputs, outputs: Int
        package var rank: Int
        package var scale: Float

        package init(module: String, inputs: Int, outputs: Int, rank: Int, scale: Float) {
            (self.module, self.inputs, self.outputs) = (module, inputs, outputs)
            (self.rank, self.scale) = (rank, scale)
        }

        /// The names of the factors among a model's parameters.
        package var down: String { "adapters.\(module).a" }
        package var up: String { "adapters.\(module).b" }
    }

    /// A projection's share of a target.
    package struct Place: Sendable, Hashable {
        package let target: Int
        package let rows: [Int]?

        package init(target: Int, rows: [Int]?) { (self.target, self.rows) = (target, rows) }
    }

    package let targets: [Target]
    /// Each projection's share of a target, by the name of the projection's weight.
    package let places: [String: Place]

    package init(targets: [Target], places: [String: Place]) { (self.targets, self.places) = (targets, places) }

    package static let none = AdapterLayout(targets: [], places: [:])

    /// The factors as parameters: A of the variance that peft's Kaiming draw has, B zeros, so that training begins at
    /// the base model.
    package var entries: [ParameterDescription] { targets.flatMap { [factor(down: $0), factor(up: $0)] } }

    private func factor(down target: Target) -> ParameterDescription {
        let deviation = 1 / (3 * Float(target.inputs)).squareRoot()
        return ParameterDescription(target.down, [target.rank, target.inputs], .normal(deviation: deviation))
    }

    private func factor(up target: Target) -> ParameterDescription {
        ParameterDescription(target.up, [target.outputs, target.rank], .zeros)
    }

    /// The adapters of the weight `parameter`, whose factors come from `source`.
    package func adapters(
        of parameter: Parameter, _ source: (ParameterDescription) -> Parameter
    ) -> [LowRankAdapter] {
        guard let place = places[parameter.name] else { return [] }
        let target = targets[place.target]
        return [
            LowRankAdapter(
                down: source(factor(down: target)), up: source(factor(up: target)), rows: place.rows,
                scale: target.scale, place: place.target)
        ]
    }
}
