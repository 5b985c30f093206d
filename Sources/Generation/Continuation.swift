import MartletLayers
package import MartletModels
package import MartletTensors

/// Sequences that grow token by token on one model: what a search needs to know of decoders and encoder-decoders. Each
/// search needs its own.
package struct Continuation: ~Copyable {
    /// The memory of keys and values: kept between steps, or computed anew from the whole text; the bits are the same.
    package enum Memory: Sendable { case cached, uncached }

    /// The model that writes, with the source it reads.
    private enum Kind {
        case decoder(Decoder)
        case encoderDecoder(EncoderDecoder, Source)
    }

    private var kind: Kind
    private let engine: StepEngine
    private var cache: KeyValueCache
    private var rows: [StepRow] = []
    private let memory: Memory
    private let device: Device
    package let vocabulary: Int
    package let context: Int?

    /// - Parameters:
    ///   - sequences: As many as the first step will have.
    ///   - engine: The model's, where one is at hand.
    /// - Throws: ``GenerationError`` for a model that is not a decoder.
    package init(
        _ decoder: Decoder, sequences: Int, memory: Memory = .cached, engine: StepEngine? = nil, on device: Device
    ) throws(GenerationError) {
        self.engine = if let engine { engine } else { try StepEngine(decoder, on: device) }
        kind = .decoder(decoder)
        (vocabulary, context) = (decoder.architecture.vocabulary, decoder.architecture.context)
        cache = self.engine.cache(sequences: sequences)
        (self.memory, self.device) = (memory, device)
    }

    /// Reads the sources; sequence i writes about `sources[i]`.
    package init(_ model: EncoderDecoder, sources: [[Int32]], memory: Memory = .cached, on device: Device) {
        var rows = Rows()
        for source in sources { rows.append(source) }
        var state = Uncached()
        let source = model.encode(rows, &state, on: device)
        kind = .encoderDecoder(model, source)
        engine = StepEngine(model, on: device)
        (vocabulary, context) = (model.targetVocabulary, model.architecture.context)
        cache = engine.cache(sequences: sources.count)
        (self.memory, self.device) = (memory, device)
        if memory == .cached { engine.attach(source, to: sources.indices.map { SequenceID($0) }, &cache) }
    }

    /// The logits of what follows each sequence, `[sequences, vocabulary]`, valid until the next call.
    ///
    /// - Precondition: each has grown since the last step.
    package mutating func logits(_ sequences: [[Int32]]) -> Tensor {
        switch memory {
        case .cached:
            rows.removeAll(keepingCapacity: true)
            for (index, tokens) in sequences.enumerated() { append(tokens, as: SequenceID(index)) }
            guard let logits = engine.logits(rows, &cache) else { preconditionFailure("Continuation: no sequence") }
            return logits
        case .uncached:
            var rows = Rows()
            for tokens in sequences { rows.append(tokens) }
            var state = Uncached()
            switch kind {
            case .decoder(let decoder):
                return decoder.logits(decoder.hidden(rows, &state, on: device).selecting(rows: rows.lastRows))
            case .encoderDecoder(let model, let source):
                let hidden = model.hidden(rows, source: source, &state, on: device)
                return model.logits(hidden.selecting(rows: rows.lastRows))
            }
        }
    }

    /// The error where nothing can be written about the sources; nil for sound ones, and where there are none.
    var brokenSource: GenerationError? {
        guard case .encoderDecoder(_, let source) = kind else { return nil }
        return UndefinedLogits.error(of: source)
    }

    /// The error for logits after `tokens` of which none is a number.
    func undefinedLogits(after tokens: [Int32]) -> GenerationError {
        switch kind {
        case .decoder(let decoder): UndefinedLogits.error(decoder, after: tokens, on: device)
        case .encoderDecoder(let model, let source): UndefinedLogits.error(model, source, after: tokens, on: device)
        }
    }

    /// The rows of what sequence `id` has not read.
    private mutating func append(_ tokens: [Int32], as id: SequenceID) {
        if case .decoder(let decoder) = kind {
            cache.forget(id, outgrowing: decoder.architecture.rereadsBeyond, extent: tokens.count)
        }
        let start = cache.length(of: id)
        precondition(start < tokens.count, "Continuation: sequence \(id.number) has not grown beyond \(start) tokens")
        for position in start..<tokens.count {
            rows.append(
                StepRow(
                    token: tokens[position], position: position, extent: tokens.count, sequence: id,
                    isWanted: position + 1 == tokens.count))
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
