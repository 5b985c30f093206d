package import MartletLayers
package import MartletTensors

/// A checkpoint's parameters with low-rank adapters on its linear layers, added in the order given.
package final class AdaptedSource: ParameterSource {
    private let base: any ParameterSource
    private let adapters: [(layout: AdapterLayout, factors: [String: Tensor])]

    package init(_ base: any ParameterSource, _ adapters: [(layout: AdapterLayout, factors: [String: Tensor])]) {
        (self.base, self.adapters) = (base, adapters)
    }

    package var operands: ElementType { base.operands }
    package func parameter(_ description: ParameterDescription) -> Parameter { base.parameter(description) }
    package func packed(_ parameter: Parameter) -> PackedMatrix? { base.packed(parameter) }
    package func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }
    package func statistics(of parameter: Parameter) -> InputStatistics? { base.statistics(of: parameter) }

    package func adapters(of parameter: Parameter) -> [LowRankAdapter] {
        adapters.flatMap { layout, factors in
            layout.adapters(of: parameter) { Parameter($0, value: factors[$0.name]) }.map(\.sliced)
        }
    }
}

extension Tensor {
    /// W + Σ s B A for a weight `[outputs, inputs]` of any type: the merged matrix, in f32.
    func merged(with addends: [LowRankAddend], on device: Device) -> Tensor {
        addends.reduce(decoded(on: device)) { sum, addend in
            sum + addend.up.multiplied(byTransposed: addend.down, on: device) * addend.scale
        }
    }
}
