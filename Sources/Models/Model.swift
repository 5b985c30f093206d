package import MartletLayers

/// A model of any of the three kinds, with its weights.
package enum Model: Sendable {
    case decoder(Decoder)
    /// An encoder; also a decoder's stack under a head that does not write.
    case encoder(Encoder)
    case encoderDecoder(EncoderDecoder)

    /// - Throws: ``UnsupportedArchitecture`` where the description says more than can be run.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        self =
            switch architecture.body {
            case .decoder:
                architecture.writes
                    ? .decoder(try Decoder(architecture, scope)) : .encoder(try Encoder(architecture, scope))
            case .encoder: .encoder(try Encoder(architecture, scope))
            case .encoderDecoder: .encoderDecoder(try EncoderDecoder(architecture, scope))
            }
    }

    /// The architecture of the model.
    package var architecture: Architecture {
        switch self {
        case .decoder(let model): model.architecture
        case .encoder(let model): model.architecture
        case .encoderDecoder(let model): model.architecture
        }
    }
}

extension Architecture {
    /// True where the head continues a text, token by token.
    package var writes: Bool {
        switch (body, head) {
        case (.decoder, .tokens), (.encoderDecoder, .tokens): true
        default: false
        }
    }
}
