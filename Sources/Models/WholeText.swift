import MartletLayers
package import MartletTensors

/// A text that a model reads in one piece, and of which it keeps nothing.
package struct WholeText: Sendable {
    package let tokens: [Int32]
    /// Sentence A or B of each token (BERT); zeros when nil.
    package let segments: [Int32]?
    /// The positions that see all, where the model has such; its own choice when nil.
    package let globals: [Int]?

    package init(_ tokens: [Int32], segments: [Int32]? = nil, globals: [Int]? = nil) {
        (self.tokens, self.segments, self.globals) = (tokens, segments, globals)
    }
}

/// The results of a model for one text.
package struct ReadText: Sendable {
    /// The last hidden states `[rows, width]`.
    package let hidden: Tensor
    /// The results of the head by name; none of a head that writes.
    package let outputs: [String: Tensor]
}

extension Model {
    /// Reads texts in one pass without padding. A text's numbers do not depend on the others.
    package func read(_ texts: [WholeText], on device: Device) -> [ReadText] {
        var rows = Rows()
        for text in texts { rows.append(text.tokens, segments: text.segments, globals: text.globals) }
        let (hidden, outputs) = read(rows, on: device)
        return rows.sequences.enumerated().map { index, sequence in
            ReadText(
                hidden: hidden.rows(sequence.rows),
                outputs: Dictionary(uniqueKeysWithValues: outputs.map { ($0.name, $0.tensors[index]) }))
        }
    }

    /// The last hidden states, and for each sequence what the head makes of them.
    private func read(
        _ rows: Rows, on device: Device
    ) -> (hidden: Tensor, outputs: [(name: String, tensors: [Tensor])]) {
        var state = Uncached()
        switch self {
        case .encoder(let encoder):
            let hidden = encoder.hidden(rows, &state, on: device)
            return (hidden, encoder.head(hidden, rows))
        case .decoder(let decoder): return (decoder.hidden(rows, &state, on: device), [])
        case .encoderDecoder(let model):
            let source = model.encode(rows, &state, on: device)
            var decoderState = Uncached()
            let hidden = model.hidden(model.rereading(rows), source: source, &decoderState, on: device)
            return (hidden, model.head(hidden, rows))
        }
    }
}
