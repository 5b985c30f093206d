import MartletLayers
import MartletTensors

/// A model of one stack, a decoder or an encoder, which can be computed as runs of its layers: stages of a pipeline.
protocol OneStackModel: Sendable {
    var architecture: Architecture { get }
    var input: InputLayer { get }
    var stack: BlockStack { get }
    /// The projection from the hidden states to the width of a decoder's narrower token table.
    var narrowing: Linear? { get }
}

extension OneStackModel {
    /// Layers `layers` alone: from what the run before hands on to what the next one needs, or to the last hidden
    /// states (see ``Model/run(_:of:_:_:on:)``).
    func run(_ layers: Range<Int>, _ handed: [Tensor], _ rows: Rows, on device: Device) -> [Tensor] {
        let result = stack.run(layers, handed, rows, on: device) { input(rows, on: device) }
        guard layers.upperBound == stack.blocks.count, let narrowing else { return result }
        return result.map { narrowing($0) }
    }

    /// The shapes of the tensors that layers before `layer` hand on.
    func shapes(before layer: Int, _ rows: Rows) -> [Shape] {
        stack.shapes(before: layer, rows, width: architecture.width)
    }
}
