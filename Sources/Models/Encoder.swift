package import MartletLayers
package import MartletTensors

/// An encoder, a model of one stack that reads: token table, segments, input positions, blocks, and one of the heads
/// that do not write.
///
/// The stack may be a decoder's, whose rows see only what came before: classifiers and sentence encoders made of
/// language models.
package struct Encoder: OneStackModel {
    package let architecture: Architecture
    let input: InputLayer
    let stack: BlockStack
    let perLayer: PerLayerEmbedding?
    let narrowing: Linear?
    package let head: HeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says something else.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        self.architecture = architecture
        let form: Architecture.Stack
        let name: ParameterPlace.Stack
        var narrowWidth: Int?
        switch architecture.body {
        case .encoder(let stack): (form, name) = (stack, .encoder)
        case .decoder(let stack):
            (form, name, narrowWidth) = (stack, .decoder, architecture.embedding.factorised?.width)
        case .encoderDecoder: throw UnsupportedArchitecture("a model of one stack is needed here")
        }
        let tokens = TokenTable(architecture, vocabulary: architecture.vocabulary, scope["tokens"])
        input = InputLayer(
            architecture, form, tokens: tokens, segments: architecture.embedding.segments, scope[name])
        stack = BlockStack(
            form, width: architecture.width, perLayer: architecture.embedding.perLayer, scope[name])
        perLayer = PerLayerEmbedding(of: architecture, form, scope[name])
        narrowing = narrowWidth.map {
            Linear(architecture.width, $0, bias: .absent, .headTransform, scope["head"]["narrowing"])
        }
        head = HeadLayer(architecture, width: narrowWidth, table: tokens, scope)
    }

    /// The last hidden state of every row: `[rows, width]`.
    ///
    /// - Parameter observe: called with each layer's output, from layer 0 on.
    package func hidden(
        _ rows: Rows, _ state: inout some AttentionState, on device: Device,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        let x = input(rows, on: device)
        let hidden = stack(
            x, rows, perLayer: perLayer?(rows.tokens, x, on: device), &state, observe: observe)
        return narrowing?(hidden) ?? hidden
    }
}
