import MartletLayers
package import MartletModels
package import MartletTensors

/// Sequences that grow token by token on one model: what a search needs to know of decoders and encoder-decoders.
package struct Continuation {
    /// Whether keys and values are kept between steps, or computed anew from the whole text: the bits are the same.
    package enum Memory: Sendable { case cached, uncached }

    private enum Kind {
        case decoder(Decoder)
        case encoderDecoder(EncoderDecoder, Source)
    }

    private var kind: Kind
    private var cache: KeyValueCache
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

    /// The logits of what follows each sequence, `[sequences, vocabulary]`. - Precondition: each has grown since the last step.
    package mutating func logits(_ sequences: [[Int32]]) -> Tensor {
        var rows = Rows()
        switch memory {
        case .cached:
            for (index, tokens) in sequences.enumerated() {
                forgetOutgrownKeys(of: index, length: tokens.count)
                rows.append(Array(tokens[cache.length(of: index)...]), from: cache.length(of: index))
            }
            return logits(rows, &cache)
        case .uncached:
            for tokens in sequences { rows.append(tokens) }
            var state = Uncached()
            return logits(rows, &state)
        }
    }

    /// A text that has just outgrown the length after which all of its positions turn otherwise is read anew.
    private mutating func forgetOutgrownKeys(of index: Int, length: Int) {
        guard case .decoder(let decoder) = kind, let trained = decoder.architecture.rereadsBeyond,
            length > trained, cache.length(of: index) <= trained
        else { return }
        cache.truncate(index, to: 0)
    }

    private func logits(_ rows: Rows, _ state: inout some AttentionState) -> Tensor {
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
        if memory == .cached { cache.select(parents) }
        if case .encoderDecoder(let model, let source) = kind {
            kind = .encoderDecoder(model, source.selecting(parents))
        }
    }
}
