package import MartletLayers
package import MartletTensors

/// One pass over given tokens, with everything it computed by name.
package enum ForwardPass {
    /// Runs the sequences together in one pass.
    ///
    /// - Returns: for sequence N, `logits.N` `[rows, vocabulary]`, `hidden.N` `[rows, width]`, and `attention.N.LAYER`
    ///   `[heads, rows, rows]` where recorded; all f32.
    /// - Throws: ``ModelError`` for ids or lengths that the model does not have, and what loading throws.
    package static func run(
        _ file: ModelFile, _ sequences: [[Int32]], recording: Uncached.Recording, on device: Device
    ) throws -> [(name: String, tensor: Tensor)] {
        try check(file.architecture, sequences)
        let decoder = try file.decoder(on: device)
        var rows = Rows()
        for sequence in sequences { rows.append(sequence) }
        var state = Uncached(recording: recording)
        let hidden = decoder.hidden(rows, &state, on: device)
        let logits = decoder.logits(hidden)
        var results: [(name: String, tensor: Tensor)] = []
        for (index, sequence) in rows.sequences.enumerated() {
            results.append(("logits.\(index)", logits.rows(sequence.rows)))
            results.append(("hidden.\(index)", hidden.rows(sequence.rows)))
            for layer in state.weights.keys.sorted() {
                state.weights[layer].map { results.append(("attention.\(index).\(layer)", $0[index])) }
            }
        }
        return results
    }

    private static func check(_ architecture: Architecture, _ sequences: [[Int32]]) throws(ModelError) {
        var offences: [String] = []
        for (index, sequence) in sequences.enumerated() {
            if sequence.isEmpty { offences.append("sequence \(index) has no tokens") }
            if let wrong = sequence.first(where: { $0 < 0 || $0 >= architecture.vocabulary }) {
                offences.append(
                    "token \(wrong) of sequence \(index) is not in the vocabulary of \(architecture.vocabulary)")
            }
            if let context = architecture.context, sequence.count > context {
                offences.append("sequence \(index) has \(sequence.count) tokens, but the model's context is \(context)")
            }
        }
        guard offences.isEmpty else { throw ModelError(offences.joined(separator: "; ")) }
    }
}
