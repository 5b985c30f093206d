package import MartletLayers
package import MartletTensors

/// A checkpoint's parameters with low-rank adapters on its linear layers, added in the order given: to all rows, or to
/// those that select them.
package final class AdaptedSource: ParameterSource {
    private let base: any ParameterSource
    private let adapters: [(layout: AdapterLayout, factors: [String: Tensor])]
    private let selection: AdapterSelection
    /// Sets of adapters of which each row selects one or none, by number.
    private let sets: [[(layout: AdapterLayout, factors: [String: Tensor])]]
    /// Matrices that have an adapter to be selected and whose rows are not those of the pass: a mixture's experts.
    package private(set) var routed: [String] = []

    package init(
        _ base: any ParameterSource, _ adapters: [(layout: AdapterLayout, factors: [String: Tensor])],
        selection: AdapterSelection = AdapterSelection(),
        sets: [[(layout: AdapterLayout, factors: [String: Tensor])]] = []
    ) {
        (self.base, self.adapters, self.selection, self.sets) = (base, adapters, selection, sets)
    }

    package var operands: ElementType { base.operands }
    package func parameter(_ description: ParameterDescription) -> Parameter { base.parameter(description) }
    package func packed(_ parameter: Parameter) -> PackedMatrix? { base.packed(parameter) }
    package func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
    package func statistics(of parameter: Parameter) -> InputStatistics? { base.statistics(of: parameter) }

    package func adapters(of parameter: Parameter) -> [LowRankAdapter] {
        var found = adapters.flatMap { AdaptedSource.adapters(of: parameter, $0) }
        for (number, set) in sets.enumerated() {
            let own = set.flatMap { AdaptedSource.adapters(of: parameter, $0) }
            if !own.isEmpty, case .routed = parameter.description.use { routed.append(parameter.name) }
            found += own.map { $0.selected(by: selection, number) }
        }
        return found
    }

    private static func adapters(
        of parameter: Parameter, _ adapter: (layout: AdapterLayout, factors: [String: Tensor])
    ) -> [LowRankAdapter] {
        adapter.layout.adapters(of: parameter) { Parameter($0, value: adapter.factors[$0.name]) }.map(\.sliced)
    }
}

extension Tensor {
    /// The merged weight W + Σ s B A for a weight `[outputs, inputs]` of any type: the merged matrix, in f32.
    func merged(with addends: [LowRankAddend], on device: Device) -> Tensor {
        addends.reduce(decoded(on: device)) { sum, addend in
            sum + addend.up.multiplied(byTransposed: addend.down, on: device) * addend.scale
        }
    }
}
