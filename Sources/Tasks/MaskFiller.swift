import MartletJSON
import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// A masked language model, which tells what may stand where a text has a mask.
public struct MaskFiller: Sendable {
    /// A token that may stand where the mask is.
    public struct Filling: Sendable, Equatable {
        /// The token's id.
        public let token: Int32
        /// The token as text.
        public let text: String
        /// The probability among all tokens.
        public let probability: Float
    }

    /// The mask as it is written in a text: `[MASK]`, `<mask>`.
    public let mask: String
    private let maskToken: Int32
    private let model: TextEncoder

    /// - Throws: what loading throws, and ``TaskError`` for a model without such a head or a vocabulary without a mask.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        switch (file.architecture.body, file.architecture.head) {
        case (.encoder, .tokens), (.encoder, .pretraining): break
        default: throw TaskError("\(file.path): this model has no head that fills masks (…ForMaskedLM)")
        }
        let known = ["[MASK]", "<mask>"]
        let named = tokenizer.specialTokens.mask
        guard let token = named ?? known.compactMap({ tokenizer.id(ofToken: $0) }).first,
            let mask = tokenizer.token(token)
        else { throw TaskError("\(file.path): the vocabulary has no mask (\(known.joined(separator: ", ")))") }
        (maskToken, self.mask) = (token, mask)
        model = try TextEncoder(file, tokenizer, on: device)
    }

    /// The `count` most probable tokens for each mask in each text, best first.
    public func fill(_ texts: [String], count: Int = 5) throws -> [[[Filling]]] {
        let encodings = try texts.map { try model.encoding($0) }
        for (text, encoding) in zip(texts, encodings) where !encoding.ids.contains(maskToken) {
            throw TaskError("there is no \(mask) in \"\(text)\"")
        }
        return try model.run(
            TextTask(model.texts(encodings)) { index, read in
                guard let logits = read.outputs["logits"] else { return [] }
                let rows = encodings[index].ids.indices.filter { encodings[index].ids[$0] == maskToken }
                return try rows.map { try best(logits.rows($0..<$0 + 1).values, count) }
            })
    }

    private func best(_ logits: [Float], _ count: Int) throws -> [Filling] {
        let probabilities = softmax(logits)
        return try probabilities.indices.sorted { probabilities[$0] > probabilities[$1] }.prefix(count).map { token in
            let text = try model.tokenizer.decode([Int32(token)], skipSpecialTokens: false)
            return Filling(token: Int32(token), text: text, probability: probabilities[token])
        }
    }
}
