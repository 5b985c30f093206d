import MartletLayers
package import MartletTensors

extension Model {
    /// The logits of a layer's output `[rows, width]` as though it were the last one: final norm, then the head (the
    /// "logit lens").
    ///
    /// - Returns: `[rows, vocabulary]`; nil for a head that gives no tokens.
    package func guesses(_ hidden: Tensor) -> Tensor? {
        switch self {
        case .decoder(let model):
            let normed = model.body.blocks.outputNorm?(hidden) ?? hidden
            return model.logits(model.body.narrowing?(normed) ?? normed)
        case .encoder(let model):
            guard case .tokens(let head) = model.head else { return nil }
            return head(hidden)
        case .encoderDecoder(let model):
            guard case .tokens(let head) = model.head else { return nil }
            return head(model.decoder.outputNorm?(hidden) ?? hidden)
        }
    }
}
