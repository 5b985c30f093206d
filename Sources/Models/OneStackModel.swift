package import MartletLayers
package import MartletTensors

/// A model of one stack, a decoder or an encoder: its stack, and a head that differs.
package protocol OneStackModel: Sendable {
    var body: OneStack { get }
}

/// The stack of a decoder or an encoder with what stands around it: token table, positions, blocks, and the projection
/// to the width of a narrower token table.
package struct OneStack: Sendable {
    let architecture: Architecture
    let tokens: TokenTable
    let input: InputLayer
    let blocks: BlockStack
    let perLayer: PerLayerEmbedding?
    /// The projection from the hidden states to the width of a decoder's narrower token table.
    let narrowing: Linear?

    /// - Parameter narrowWidth: of the hidden states behind the stack, where it is not the model's.
    init(
        _ architecture: Architecture, _ form: Architecture.Stack, _ role: ParameterPlace.Stack, narrowWidth: Int?,
        _ scope: Scope
    ) {
        self.architecture = architecture
        tokens = TokenTable(architecture, vocabulary: architecture.vocabulary, scope["tokens"])
        input = InputLayer(
            architecture, form, tokens: tokens, segments: architecture.embedding.segments, scope[role])
        blocks = BlockStack(
            form, width: architecture.width, perLayer: architecture.embedding.perLayer, scope[role])
        perLayer = PerLayerEmbedding(of: architecture, form, scope[role])
        narrowing = narrowWidth.map {
            Linear(architecture.width, $0, bias: .absent, .headTransform, scope["head"]["narrowing"])
        }
    }
}

extension OneStackModel {
    package var architecture: Architecture { body.architecture }

    /// The last hidden state of every row, after the final norm: `[rows, width]`, or of the token table's width where
    /// a decoder's is narrower.
    ///
    /// - Parameter observe: called with each layer's output, from layer 0 on.
    package func hidden(
        _ rows: Rows, _ state: inout some AttentionState, on device: Device,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        let x = body.input(rows, on: device)
        let hidden = body.blocks(
            x, rows, perLayer: body.perLayer?(rows.tokens, x, on: device), &state, observe: observe)
        return body.narrowing?(hidden) ?? hidden
    }

    /// Layers `layers` alone: from what the run before hands on to what the next one needs, or to the last hidden
    /// states (see ``Model/run(_:of:_:_:on:)``).
    func run(_ layers: Range<Int>, _ handed: [Tensor], _ rows: Rows, on device: Device) -> [Tensor] {
        let result = body.blocks.run(layers, handed, rows, on: device) { body.input(rows, on: device) }
        guard layers.upperBound == body.blocks.blocks.count, let narrowing = body.narrowing else { return result }
        return result.map { narrowing($0) }
    }

    /// The shapes of the tensors that layers before `layer` hand on.
    func shapes(before layer: Int, _ rows: Rows) -> [Shape] {
        body.blocks.shapes(before: layer, rows, width: architecture.width)
    }
}
