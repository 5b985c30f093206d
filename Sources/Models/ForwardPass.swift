package import MartletLayers
package import MartletTensors

/// A forward pass over given tokens, with everything it computed by name.
package enum ForwardPass {
    /// A sequence of the pass.
    package struct Input: Sendable {
        package var tokens: [Int32]
        /// The segment of each token, the sentence that it belongs to; the first one when nil.
        package var segments: [Int32]?
        /// The tokens that an encoder-decoder's decoder reads.
        package var decoderTokens: [Int32]?
        /// The positions that see all and are seen by all, in models that have such; the model's own choice when nil.
        package var globals: [Int]?

        package init(
            _ tokens: [Int32], segments: [Int32]? = nil, decoderTokens: [Int32]? = nil, globals: [Int]? = nil
        ) {
            (self.tokens, self.segments, self.decoderTokens) = (tokens, segments, decoderTokens)
            self.globals = globals
        }
    }

    /// The layers whose outputs are kept: the last, or all.
    package enum Layers: Sendable { case last, all }

    package typealias Results = [(name: String, tensor: Tensor)]

    /// Runs plain sequences of tokens together in one pass.
    package static func run(
        _ file: ModelFile, _ sequences: [[Int32]], recording: Uncached.Recording, on device: Device
    ) throws -> Results {
        try run(file, sequences.map { Input($0) }, recording: recording, on: device)
    }

    /// Runs the sequences together in one pass.
    ///
    /// - Returns: for sequence N what the head computes (`logits.N` `[rows, vocabulary]` and others: see
    ///   ``HeadLayer``), `hidden.N` `[rows, width]` (and `encoder_hidden.N`), and where recorded `attention.N.LAYER`
    ///   `[heads, rows, rows]` (and `encoder_attention.N.LAYER`, `cross_attention.N.LAYER`) and `hidden.N.LAYER`; all
    ///   f32.
    /// - Throws: ``ModelError`` for ids or lengths that the model does not have, and what loading throws.
    package static func run(
        _ file: ModelFile, _ inputs: [Input], recording: Uncached.Recording = .nothing, layers: Layers = .last,
        on device: Device
    ) throws -> Results {
        try check(file.architecture, inputs)
        return try run(
            file.model(on: device), file.architecture, inputs, recording: recording, layers: layers, on: device)
    }

    /// Runs the sequences together in one pass of a model that is loaded.
    package static func run(
        _ model: Model, _ architecture: Architecture, _ inputs: [Input], recording: Uncached.Recording,
        layers: Layers, on device: Device
    ) throws -> Results {
        try check(architecture, inputs)
        var rows = Rows()
        for input in inputs { rows.append(input.tokens, segments: input.segments, globals: input.globals) }
        var record = Record(layers: layers)
        var state = Uncached(recording: recording)
        switch model {
        case .decoder(let decoder):
            let hidden = decoder.hidden(rows, &state, on: device) { record.add("hidden", layer: $0, $1, rows) }
            record.add("logits", decoder.logits(hidden), rows)
            record.add("hidden", hidden, rows)
            record.add("attention", state.weights)
        case .encoder(let encoder):
            let hidden = encoder.hidden(rows, &state, on: device) { record.add("hidden", layer: $0, $1, rows) }
            for (name, tensors) in encoder.head(hidden, rows) { record.add(name, tensors) }
            record.add("hidden", hidden, rows)
            record.add("attention", state.weights)
        case .encoderDecoder(let model):
            let source = model.encode(rows, &state, on: device) { record.add("encoder_hidden", layer: $0, $1, rows) }
            var targets = Rows()
            for input in inputs { targets.append(input.decoderTokens ?? []) }
            if !architecture.writes { targets = model.rereading(rows) }
            var decoderState = Uncached(recording: recording)
            let hidden = model.hidden(targets, source: source, &decoderState, on: device) {
                record.add("hidden", layer: $0, $1, targets)
            }
            for (name, tensors) in model.head(hidden, architecture.writes ? targets : rows) {
                record.add(name, tensors)
            }
            record.add("hidden", hidden, targets)
            record.add("encoder_hidden", source.hidden, rows)
            record.add("attention", decoderState.weights)
            record.add("encoder_attention", state.weights)
            record.add("cross_attention", decoderState.crossWeights)
        }
        return record.results
    }

    /// The record of a pass: results by name.
    private struct Record {
        let layers: Layers
        var results: Results = []

        init(layers: Layers) { self.layers = layers }

        mutating func add(_ name: String, _ tensors: [Tensor]) {
            for (index, tensor) in tensors.enumerated() { results.append(("\(name).\(index)", tensor)) }
        }

        mutating func add(_ name: String, _ tensor: Tensor, _ rows: Rows) {
            add(name, rows.sequences.map { tensor.rows($0.rows) })
        }

        mutating func add(_ name: String, layer: Int, _ tensor: Tensor, _ rows: Rows) {
            guard layers == .all else { return }
            for (index, sequence) in rows.sequences.enumerated() {
                results.append(("\(name).\(index).\(layer)", tensor.rows(sequence.rows)))
            }
        }

        mutating func add(_ name: String, _ weights: [Int: [Tensor]]) {
            for (layer, tensors) in weights.sorted(by: { $0.key < $1.key }) {
                for (index, tensor) in tensors.enumerated() { results.append(("\(name).\(index).\(layer)", tensor)) }
            }
        }
    }

    private static func check(_ architecture: Architecture, _ inputs: [Input]) throws(ModelError) {
        var offences: [String] = []
        func check(_ tokens: [Int32], _ name: String, vocabulary: Int, context: Int?) {
            if tokens.isEmpty { offences.append("\(name) has no tokens") }
            if let wrong = tokens.first(where: { $0 < 0 || $0 >= vocabulary }) {
                offences.append("token \(wrong) of \(name) is not in the vocabulary of \(vocabulary)")
            }
            if let context, tokens.count > context {
                offences.append("\(name) has \(tokens.count) tokens, but the model's context is \(context)")
            }
        }
        for (index, input) in inputs.enumerated() {
            check(
                input.tokens, "sequence \(index)", vocabulary: architecture.vocabulary,
                context: architecture.sourceContext ?? architecture.context)
            if case .encoderDecoder = architecture.body, architecture.writes {
                check(
                    input.decoderTokens ?? [], "the decoder's sequence \(index)",
                    vocabulary: architecture.embedding.targetVocabulary ?? architecture.vocabulary,
                    context: architecture.context)
            } else if input.decoderTokens != nil {
                offences.append("sequence \(index) has decoder tokens, but this model has no decoder that writes")
            }
            if let segments = input.segments {
                offences += offencesOf(segments, input.tokens.count, architecture.embedding.segments, index)
            }
            if let globals = input.globals, let wrong = globals.first(where: { !input.tokens.indices.contains($0) }) {
                offences.append("position \(wrong), said to be global, is not in sequence \(index)")
            }
            if input.globals != nil, !architecture.namesGlobals {
                offences.append("sequence \(index) names global positions, but this model has none")
            }
        }
        guard offences.isEmpty else { throw ModelError(offences.joined(separator: "; ")) }
    }

    private static func offencesOf(_ segments: [Int32], _ count: Int, _ known: Int, _ index: Int) -> [String] {
        var offences: [String] = []
        if segments.count != count {
            offences.append("sequence \(index) has \(segments.count) segments, but \(count) tokens")
        }
        if let wrong = segments.first(where: { $0 < 0 || $0 >= max(known, 1) }) {
            offences.append("segment \(wrong) of sequence \(index): the model has \(known)")
        } else if known == 0 {
            offences.append("sequence \(index) has segments, but this model has none")
        }
        return offences
    }
}

extension Architecture {
    /// True where some layer's attention has positions that see all and are seen by all.
    fileprivate var namesGlobals: Bool {
        layers.contains { if case .aroundAndGlobal = $0.attention.reach { true } else { false } }
    }
}
