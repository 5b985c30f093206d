extension Architecture {
    /// The stacks in the order in which they run.
    package var stacks: [(role: ParameterPlace.Stack, stack: Stack)] {
        switch body {
        case .decoder(let stack): [(.decoder, stack)]
        case .encoder(let stack): [(.encoder, stack)]
        case .encoderDecoder(let encoder, let decoder): [(.encoder, encoder), (.decoder, decoder)]
        }
    }

    /// The stack that runs first: the encoder where there are two.
    package var firstStack: Stack {
        switch body {
        case .decoder(let only), .encoder(let only), .encoderDecoder(let only, _): only
        }
    }

    /// The layers of all stacks.
    package var layers: [Layer] { stacks.flatMap(\.stack.layers) }
}
