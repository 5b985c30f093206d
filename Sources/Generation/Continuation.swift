import MartletLayers
package import MartletModels
package import MartletTensors

/// Sequences that grow token by token on one model: what a search needs to know of decoders and encoder-decoders. Each search needs its own.
package struct Continuation: ~Copyable {
    /// Whether keys and values are kept between steps, or computed anew from the whole text: the bits are the same.
    package enum Memory: Sendable { case cached, uncached }

    private enum Kind {
        case decoder(Decoder)
        case encoderDecoder(EncoderDecoder, Source)
    }

    private var kind: Kind
    private var cache: KeyValueCache
    /// In place of the cache, where the model can be stepped.
    private var steps: BeamSteps?
    private let memory: Memory
    private let device: Device
    package let vocabulary: Int
    package let context: Int?

    /// - Parameter sequences: as many as the first step will have.
    /// - Throws: ``GenerationError`` for a model that is not a decoder.
    package init(_ decoder: Decoder, sequences: Int, memory: Memory = .cached, on device: Device)
        throws(GenerationError)
    {
        guard case .decoder(let stack) = decoder.architecture.body else {
            throw GenerationError("this model does not continue texts: it is not a decoder")
        }
        kind = .decoder(decoder)
        (vocabulary, context) = (decoder.architecture.vocabulary, decoder.architecture.context)
        cache = KeyValueCache(stack, sequences: sequences, on: device)
        (self.memory, self.device) = (memory, device)
    }

    /// Reads the sources; sequence i writes about `sources[i]`.
    package init(_ model: EncoderDecoder, sources: [[Int32]], memory: Memory = .cached, on device: Device) {
        var rows = Rows()
        for source in sources { rows.append(source) }
        var state = Uncached()
        kind = .encoderDecoder(model, model.encode(rows, &state, on: device))
        (vocabulary, context) = (model.targetVocabulary, model.architecture.context)
        cache = KeyValueCache(model.decoderStack, sequences: sources.count, on: device)
        (self.memory, self.device) = (memory, device)
    }

    /// Says how many sequences there will be at most.
    package mutating func reserve(sequences: Int) {
        guard sequences > 0, memory == .cached, case .encoderDecoder(let model, let source) = kind else { return }
        steps = BeamSteps(model, source, rows: sequences, on: device)
    }

    /// The logits of what follows each sequence, `[sequences, vocabulary]`, valid until the next call.
    ///
    /// - Precondition: each has grown since the last step.
    package mutating func logits(_ sequences: [[Int32]]) -> Tensor {
        if let steps, steps.length == 0, Set(sequences.map(\.count)).count > 1 { self.steps = nil }
        if let logits = steps?.logits(sequences) { return logits }
        var rows = Rows()
        switch memory {
        case .cached:
            for (index, tokens) in sequences.enumerated() {
                forgetOutgrownKeys(of: index, length: tokens.count)
                rows.append(Array(tokens[cache.length(of: index)...]), from: cache.length(of: index))
            }
            return Continuation.logits(kind, rows, &cache, on: device)
        case .uncached:
            for tokens in sequences { rows.append(tokens) }
            var state = Uncached()
            return Continuation.logits(kind, rows, &state, on: device)
        }
    }

    /// A text that has just outgrown the length after which all of its positions turn otherwise is read anew.
    private mutating func forgetOutgrownKeys(of index: Int, length: Int) {
        guard case .decoder(let decoder) = kind, let trained = decoder.architecture.rereadsBeyond,
            length > trained, cache.length(of: index) <= trained
        else { return }
        cache.truncate(index, to: 0)
    }

    private static func logits(
        _ kind: Kind, _ rows: Rows, _ state: inout some AttentionState, on device: Device
    ) -> Tensor {
        switch kind {
        case .decoder(let decoder):
            return decoder.logits(decoder.hidden(rows, &state, on: device).selecting(rows: rows.lastRows))
        case .encoderDecoder(let model, let source):
            let hidden = model.hidden(rows, source: source, &state, on: device)
            return model.logits(hidden.selecting(rows: rows.lastRows))
        }
    }

    /// Makes sequence i continue what sequence `parents[i]` was.
    package mutating func select(_ parents: [Int]) {
        guard steps == nil else {
            steps?.select(parents)
            return
        }
        if memory == .cached { cache.select(parents) }
        if case .encoderDecoder(let model, let source) = kind {
            kind = .encoderDecoder(model, source.selecting(parents))
        }
    }
}
