package import MartletLayers

/// A model of any of the three kinds, with its weights.
package enum Model: Sendable {
    case decoder(Decoder)
    case encoder(Encoder)
    case encoderDecoder(EncoderDecoder)

    /// - Throws: ``UnsupportedArchitecture`` where the description says more than can be run.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        self =
            switch architecture.body {
            case .decoder: .decoder(try Decoder(architecture, scope))
            case .encoder: .encoder(try Encoder(architecture, scope))
            case .encoderDecoder: .encoderDecoder(try EncoderDecoder(architecture, scope))
            }
    }
}
