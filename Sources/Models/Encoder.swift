package import MartletLayers
package import MartletTensors

/// An encoder-only model: token table, segments, input positions, blocks, and one of the heads.
package struct Encoder: Sendable {
    package let architecture: Architecture
    private let input: InputLayer
    private let stack: BlockStack
    package let head: HeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says something else.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        guard case .encoder(let stack) = architecture.body else {
            throw UnsupportedArchitecture("an encoder-only model is needed here")
        }
        self.architecture = architecture
        let tokens = TokenTable(architecture, vocabulary: architecture.vocabulary, scope["tokens"])
        input = InputLayer(
            architecture, stack, tokens: tokens, segments: architecture.embedding.segments, scope["encoder"])
        self.stack = BlockStack(stack, width: architecture.width, scope["encoder"])
        head = HeadLayer(architecture, table: tokens, scope)
    }

    /// The last hidden state of every row: `[rows, width]`.
    ///
    /// - Parameter observe: called with each layer's output, from layer 0 on.
    package func hidden(
        _ rows: Rows, _ state: inout some AttentionState, on device: Device,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        stack(input(rows, on: device), rows, &state, observe: observe)
    }
}
