package import MartletLayers
package import MartletModels
package import MartletTensors

/// The forward pass of a model that writes: tokens of any sequences in, logits of the wanted rows out.
///
/// Owns what is made once per model: decode steps recorded for a few rows and for many, each when it is first needed.
/// A pass is a recorded step where every row belongs to a sequence of its own, else a pass over tensors; both give the
/// same bits. One thread at a time.
package final class StepEngine {
    /// The model that the steps are recorded of.
    private enum Kind {
        case decoder(Decoder)
        case encoderDecoder(EncoderDecoder)
        /// One that only reads: no row is ever written.
        case reader(Model)

        var model: Model {
            switch self {
            case .decoder(let model): .decoder(model)
            case .encoderDecoder(let model): .encoderDecoder(model)
            case .reader(let model): model
            }
        }
    }

    private let kind: Kind
    private let device: Device
    /// The layout of the KV caches of this model's sequences.
    package let layout: KeyValueLayout
    package let vocabulary: Int
    private let dependsOnLength: Bool
    /// The recorded steps by rows: `buckets` of them.
    private var steps: [Int: DecoderStep] = [:]
    /// True where a step can be recorded; nil as long as nobody has tried.
    private var isSteppable: Bool?
    /// The order of a step's rows, where those wanted do not come first.
    private var order: [Int] = []
    /// The selection by which a pass says which rows select which adapter; nil for a model without adapters to be
    /// selected.
    private let selection: AdapterSelection?

    /// Rows of a recorded step: up to 8, norms and rounding are done by every thread for itself; above, they are
    /// shared.
    private static let buckets = [8, 32, 128, 512, 2_048]

    /// - Parameters:
    ///   - cache: What keys and values are kept as.
    ///   - selection: Where the decoder's rows select adapters.
    /// - Throws: ``GenerationError`` for a model that is not a decoder.
    package init(
        _ decoder: Decoder, cache: ElementType = .f32, selection: AdapterSelection? = nil, on device: Device
    ) throws(GenerationError) {
        guard case .decoder(let stack) = decoder.architecture.body else {
            throw GenerationError("this model does not continue texts: it is not a decoder")
        }
        (kind, self.device, vocabulary) = (.decoder(decoder), device, decoder.architecture.vocabulary)
        self.selection = selection
        layout = KeyValueLayout(stack, type: cache)
        dependsOnLength = decoder.architecture.keysDependOnLength
    }

    package init(_ model: EncoderDecoder, on device: Device) {
        (kind, self.device, vocabulary) = (.encoderDecoder(model), device, model.targetVocabulary)
        selection = nil
        layout = KeyValueLayout(model.decoderStack)
        dependsOnLength = false
    }

    /// Of any model: one that only reads has ``read(_:adapters:)`` alone.
    ///
    /// - Throws: what the other initialisers throw.
    package convenience init(
        _ model: Model, cache: ElementType = .f32, selection: AdapterSelection? = nil, on device: Device
    ) throws(GenerationError) {
        switch model {
        case .decoder(let decoder): try self.init(decoder, cache: cache, selection: selection, on: device)
        case .encoderDecoder(let writer) where writer.architecture.writes: self.init(writer, on: device)
        default: self.init(reading: model, on: device)
        }
    }

    private init(reading model: Model, on device: Device) {
        (kind, self.device, vocabulary) = (.reader(model), device, model.architecture.vocabulary)
        selection = nil
        layout = KeyValueLayout(Architecture.Stack(layers: []))
        dependsOnLength = false
    }

    /// An empty cache for this model.
    ///
    /// - Parameters:
    ///   - sequences: As in ``KeyValueCache``.
    ///   - pool: Where its blocks come from.
    package func cache(sequences: Int = 0, pool: BlockPool? = nil) -> KeyValueCache {
        KeyValueCache(layout, sequences: sequences, pool: pool, on: device)
    }

    /// Computes the keys and values that cross-attention has of `source`; sequence `ids[i]` reads its sequence i.
    package func attach(_ source: Source, to ids: [SequenceID], _ cache: inout KeyValueCache) {
        guard case .encoderDecoder(let model) = kind else { return }
        model.eachSource(source) { layer, keys, values in
            cache.setSource(ids, layer: layer, keys: keys, values: values, ranges: source.ranges)
        }
    }

    /// The encoded sources, one for each to ``attach(_:to:_:)``.
    ///
    /// - Throws: ``GenerationError`` where that is no number.
    package func encode(_ sources: [[Int32]]) throws(GenerationError) -> Source {
        guard case .encoderDecoder(let model) = kind else { preconditionFailure("StepEngine: no encoder") }
        var (rows, state) = (Rows(), Uncached())
        for source in sources { rows.append(source) }
        let source = model.encode(rows, &state, on: device)
        if let error = UndefinedLogits.error(of: source) { throw error }
        return source
    }

    /// Reads whole texts in one pass, of which nothing is kept.
    ///
    /// - Parameter adapters: the adapter that each of them selects.
    package func read(_ texts: [WholeText], adapters: [Int?]) -> [ReadText] {
        var (runs, start) = ([(adapter: Int, rows: Range<Int>)](), 0)
        for (text, adapter) in zip(texts, adapters) {
            if let adapter { runs.append((adapter, start..<start + text.tokens.count)) }
            start += text.tokens.count
        }
        selection?.select(runs)
        defer { selection?.select([]) }
        return kind.model.read(texts, on: device)
    }

    /// Reads `rows`: those of one sequence follow one another, at the positions that come next in its cache.
    ///
    /// - Returns: the logits of what follows the wanted rows, in their order, `[wanted, vocabulary]`, valid until the
    ///   next call; nil where none is wanted.
    package func logits(_ rows: [StepRow], _ cache: inout KeyValueCache) -> Tensor? {
        precondition(
            cache.layout.type == layout.type && cache.layout.places.count == layout.places.count,
            "StepEngine: a cache of another layout")
        guard !rows.isEmpty else { return nil }
        // Recorded steps know the model alone.
        if rows.contains(where: { $0.adapter != nil }) { return logitsByAdapters(rows, &cache) }
        if isStep(rows), let step = step(rows.count) { return logits(rows, by: step, &cache) }
        return logitsByPass(rows, &cache)
    }

    /// A pass in which rows select adapters: one product of the base weights for all, and one of each adapter for its
    /// own.
    private func logitsByAdapters(_ rows: [StepRow], _ cache: inout KeyValueCache) -> Tensor? {
        guard let selection else { preconditionFailure("StepEngine: a model without adapters to be selected") }
        var runs: [(adapter: Int, rows: Range<Int>)] = []
        for (index, row) in rows.enumerated() {
            guard let adapter = row.adapter else { continue }
            if let last = runs.last, last.adapter == adapter, last.rows.upperBound == index {
                runs[runs.count - 1].rows = last.rows.lowerBound..<index + 1
            } else {
                runs.append((adapter, index..<index + 1))
            }
        }
        selection.select(runs)
        defer { selection.select([]) }
        return logitsByPass(rows, &cache)
    }

    /// The error about logits after `tokens` that are not numbers.
    ///
    /// - Parameter source: what an encoder-decoder read.
    package func undefinedLogits(after tokens: [Int32], source: [Int32] = []) -> GenerationError {
        switch kind {
        case .decoder(let decoder): return UndefinedLogits.error(decoder, after: tokens, on: device)
        case .encoderDecoder(let model):
            do throws(GenerationError) {
                return UndefinedLogits.error(model, try encode([source]), after: tokens, on: device)
            } catch { return error }
        case .reader: return UndefinedLogits.error(firstIn: nil)
        }
    }

    // MARK: Recorded steps

    /// Returns whether every row is the next token of a sequence of its own.
    private func isStep(_ rows: [StepRow]) -> Bool {
        var index = 1
        while index < rows.count {
            if rows[index].sequence == rows[index - 1].sequence { return false }
            index += 1
        }
        return true
    }

    /// A recorded step for `count` rows; nil for too many, or a model with a part that steps do not know.
    private func step(_ count: Int) -> DecoderStep? {
        guard isSteppable != false, let rows = StepEngine.buckets.first(where: { $0 >= count }) else { return nil }
        if let known = steps[rows] { return known }
        let made =
            switch kind {
            case .decoder(let decoder): DecoderStep(decoder, rows: rows, layout: layout, on: device)
            case .encoderDecoder(let model): DecoderStep(model, rows: rows, layout: layout, on: device)
            case .reader: nil as DecoderStep?
            }
        isSteppable = made != nil
        steps[rows] = made
        return made
    }

    private func logits(_ rows: [StepRow], by step: DecoderStep, _ cache: inout KeyValueCache) -> Tensor? {
        for row in rows { cache.extend(for: row) }
        var wanted = 0
        for row in rows where row.isWanted { wanted += 1 }
        // The wanted rows come first, so that no other reaches the projection to the vocabulary.
        var isSorted = true
        for index in rows.indices.dropFirst() where rows[index].isWanted && !rows[index - 1].isWanted {
            isSorted = false
        }
        if !isSorted { order = rows.indices.filter { rows[$0].isWanted } + rows.indices.filter { !rows[$0].isWanted } }
        return step.run(rows, order: isSorted ? nil : order, wanted: wanted) { plan, index, row in
            cache.place(row, at: index, in: plan)
        }
    }

    // MARK: Passes over tensors

    private func logitsByPass(_ rows: [StepRow], _ cache: inout KeyValueCache) -> Tensor? {
        var pass = Rows()
        var first = 0
        while first < rows.count {
            // Where rotations depend on how far a text reached when a row was first read, such rows are parts of their
            // own.
            let end =
                rows[first...].firstIndex {
                    $0.sequence != rows[first].sequence || (dependsOnLength && $0.extent != rows[first].extent)
                } ?? rows.count
            pass.append(
                rows[first..<end].map(\.token), from: rows[first].position, extent: rows[end - 1].extent,
                id: rows[first].sequence)
            first = end
        }
        let wanted = rows.indices.filter { rows[$0].isWanted }
        switch kind {
        case .decoder(let decoder):
            let hidden = decoder.hidden(pass, &cache, on: device)
            return wanted.isEmpty ? nil : decoder.logits(hidden.selecting(rows: wanted))
        case .encoderDecoder(let model):
            // What the encoder gave is in the cache.
            let source = Source(hidden: device.make([0, model.architecture.reading.width]), ranges: [])
            let hidden = model.hidden(pass, source: source, &cache, on: device)
            return wanted.isEmpty ? nil : model.logits(hidden.selecting(rows: wanted))
        case .reader: preconditionFailure("StepEngine: \(rows.count) rows of a model that does not write")
        }
    }
}
