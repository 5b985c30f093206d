package import MartletLayers
package import MartletTensors

/// An encoder-decoder, a model that reads a source with one stack and writes with another, which looks at what the
/// first one made of it.
///
/// Under a head that does not write, the second stack reads the source once more, behind a start token: BART's
/// classifiers.
package struct EncoderDecoder: Sendable {
    package let architecture: Architecture
    package let decoderStack: Architecture.Stack
    private let encoderInput: InputLayer
    private let encoder: BlockStack
    let decoderInput: InputLayer
    let decoder: BlockStack
    package let head: HeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says something else.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        guard case .encoderDecoder(let encoder, let decoder) = architecture.body else {
            throw UnsupportedArchitecture("an encoder-decoder is needed here")
        }
        guard architecture.writes || architecture.rereadsBehind != nil else {
            throw UnsupportedArchitecture(
                "an encoder-decoder with neither a projection to its vocabulary nor a start token")
        }
        (self.architecture, decoderStack) = (architecture, decoder)
        let reading = architecture.reading
        let tokens = TokenTable(reading, vocabulary: architecture.vocabulary, scope["tokens"])
        encoderInput = InputLayer(
            reading, encoder, tokens: tokens, segments: architecture.embedding.segments, scope[.encoder])
        self.encoder = BlockStack(encoder, width: reading.width, scope[.encoder])
        let targets =
            architecture.embedding.targetVocabulary.map {
                TokenTable(architecture, vocabulary: $0, scope["targetTokens"])
            } ?? tokens
        decoderInput = InputLayer(architecture, decoder, tokens: targets, segments: 0, scope[.decoder])
        self.decoder = BlockStack(
            decoder, width: architecture.width, sourceWidth: reading.width, scope[.decoder])
        head = HeadLayer(architecture, table: targets, scope)
    }

    /// The decoder's vocabulary size.
    package var targetVocabulary: Int { architecture.embedding.targetVocabulary ?? architecture.vocabulary }

    /// Reads the sources: sequence i of a later pass of the decoder sees sequence i of these rows.
    package func encode(
        _ rows: Rows, _ state: inout some AttentionState, on device: Device,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Source {
        let hidden = encoder(encoderInput(rows, on: device), rows, &state, observe: observe)
        return Source(hidden: hidden, ranges: rows.sequences.map(\.rows))
    }

    /// The decoder's last hidden state of every row: `[rows, width]`.
    package func hidden(
        _ rows: Rows, source: Source, _ state: inout some AttentionState, on device: Device,
        observe: (Int, Tensor) -> Void = { _, _ in }
    ) -> Tensor {
        decoder(decoderInput(rows, on: device), rows, source: source, &state, observe: observe)
    }

    /// Layers of both stacks alone: from what the run before hands on to what the next one needs, or to the last hidden
    /// states (see ``Model/run(_:of:_:_:on:)``). Behind the encoder its hidden states go along, last of all.
    ///
    /// - Returns: also the node of the source, where the encoder ends here.
    func run(
        encoder reading: Range<Int>, decoder writing: Range<Int>, _ handed: [Tensor], _ rows: Rows, _ targets: Rows,
        on device: Device
    ) -> (handed: [Tensor], source: GradientNode?) {
        var (handed, source) = (handed, handed.last)
        let ends = !reading.isEmpty && reading.upperBound == encoder.blocks.count
        if !reading.isEmpty {
            let result = encoder.run(reading, handed, rows, on: device) { encoderInput(rows, on: device) }
            guard ends else { return (result, nil) }
            (handed, source) = ([], result[0])
        } else if decoder.readsSource(from: writing.lowerBound) {
            handed.removeLast()
        } else {
            source = nil
        }
        let node = ends ? source?.node : nil
        var result: [Tensor] = []
        if !writing.isEmpty {
            result = decoder.run(
                writing, handed, targets,
                source: source.map { Source(hidden: $0, ranges: rows.sequences.map(\.rows)) }, on: device
            ) { decoderInput(targets, on: device) }
        }
        if decoder.readsSource(from: writing.upperBound), let source { result.append(source) }
        return (result, node)
    }

    /// The shapes of what a run hands on that ends at `encoder` and `decoder`.
    func shapes(encoder reading: Int, decoder writing: Int, _ rows: Rows, _ targets: Rows) -> [Shape] {
        let width = architecture.reading.width
        guard reading == encoder.blocks.count else { return encoder.shapes(before: reading, rows, width: width) }
        let own = writing > 0 ? decoder.shapes(before: writing, targets, width: architecture.width) : []
        return own + (decoder.readsSource(from: writing) ? [[rows.count, width]] : [])
    }

    /// For each decoder layer with cross-attention, the keys and values `[rows, keyHeads, headWidth]` that it has of
    /// `source`.
    package func eachSource(_ source: Source, _ body: (_ layer: Int, _ keys: Tensor, _ values: Tensor) -> Void) {
        for (layer, block) in decoder.blocks.enumerated() {
            if let (keys, values) = block.sourceKeysAndValues(of: source.hidden) { body(layer, keys, values) }
        }
    }

    /// The decoder's input where it does not write: the source, one row later, behind the start token.
    package func rereading(_ rows: Rows) -> Rows {
        var targets = Rows()
        for sequence in rows.sequences {
            let tokens = rows.tokens[sequence.rows]
            let start: Int32 =
                switch architecture.rereadsBehind {
                case .token(let token): token
                case .last(let padding): tokens.last { $0 != padding } ?? tokens.last ?? 0
                case nil: 0
                }
            targets.append([start] + tokens.dropLast())
        }
        return targets
    }

    /// The logits of hidden states, from `[rows, width]` to logits `[rows, targetVocabulary]`.
    ///
    /// - Precondition: the model writes.
    package func logits(_ hidden: Tensor) -> Tensor {
        guard case .tokens(let head) = head else { preconditionFailure("EncoderDecoder.logits: \(architecture.head)") }
        return head(hidden)
    }
}
