package import MartletLayers

/// An encoder, a model of one stack that reads: token table, segments, input positions, blocks, and one of the heads
/// that do not write.
///
/// The stack may be a decoder's, whose rows see only what came before: classifiers and sentence encoders made of
/// language models.
package struct Encoder: OneStackModel {
    package let body: OneStack
    package let head: HeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says something else.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        let narrowWidth: Int?
        switch architecture.body {
        case .encoder(let stack):
            narrowWidth = nil
            body = OneStack(architecture, stack, .encoder, narrowWidth: nil, scope)
        case .decoder(let stack):
            narrowWidth = architecture.embedding.factorised?.width
            body = OneStack(architecture, stack, .decoder, narrowWidth: narrowWidth, scope)
        case .encoderDecoder: throw UnsupportedArchitecture("a model of one stack is needed here")
        }
        head = HeadLayer(architecture, width: narrowWidth, table: body.tokens, scope)
    }
}
