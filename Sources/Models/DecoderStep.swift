package import MartletLayers
package import MartletTensors

/// A row of a decode step: a token at a position of a sequence.
package struct StepRow: Sendable {
    package var token: Int32
    package var position: Int
    /// The extent of the sequence, in positions, as far as it is known, for rotations that depend on it.
    package var extent: Int
    package var sequence: SequenceID
    /// True where the logits of what follows are asked for.
    package var isWanted: Bool
    /// The adapter that it selects, by number; nil for the model alone.
    package var adapter: Int?

    package init(
        token: Int32, position: Int, extent: Int? = nil, sequence: SequenceID = 0, isWanted: Bool = true,
        adapter: Int? = nil
    ) {
        (self.token, self.position, self.sequence, self.isWanted) = (token, position, sequence, isWanted)
        self.adapter = adapter
        self.extent = max(extent ?? 0, position + 1)
    }
}

/// The recorded decode step of a model: a pass of one token of each of a few sequences, the same bits as a pass over
/// `Rows`, in memory that is made once.
package final class DecoderStep {
    private let input: InputLayer
    private let head: TokenHeadLayer
    private let vocabulary: Int
    private let plan: StepPlan
    private var rotations: [StepRotation] = []
    /// A row to work with.
    private let other: Tensor
    /// Sines and cosines of the position that was set last.
    private var sinusoid: (position: Int, row: Tensor)?

    /// - Parameters: `rows` sequences at most, whose keys and values lie as `layout` says.
    /// - Returns: nil for a model with a part that steps do not know; it runs without.
    package convenience init?(_ decoder: Decoder, rows: Int, layout: KeyValueLayout, on device: Device) {
        let plan = StepPlan(capacity: rows, width: decoder.architecture.width, blockType: layout.type, on: device)
        self.init(
            decoder.body.blocks, decoder.body.input, decoder.head, perLayer: decoder.body.perLayer,
            narrowing: decoder.body.narrowing,
            decoder.architecture.vocabulary, plan, layout, on: device)
    }

    /// An encoder-decoder's second stack.
    package convenience init?(_ model: EncoderDecoder, rows: Int, layout: KeyValueLayout, on device: Device) {
        guard case .tokens(let head) = model.head else { return nil }
        let plan = StepPlan(capacity: rows, width: model.architecture.width, blockType: layout.type, on: device)
        self.init(model.decoder, model.decoderInput, head, model.targetVocabulary, plan, layout, on: device)
    }

    private init?(
        _ stack: BlockStack, _ input: InputLayer, _ head: TokenHeadLayer, perLayer: PerLayerEmbedding? = nil,
        narrowing: Linear? = nil, _ vocabulary: Int, _ plan: StepPlan, _ layout: KeyValueLayout, on device: Device
    ) {
        (self.input, self.head, self.vocabulary, self.plan) = (input, head, vocabulary, plan)
        let widest = max(plan.width, input.tokens.weight.shape[1])
        other = Tensor(Array(repeating: 0, count: widest), shape: [widest])
        guard input.record(in: plan), let matrix = head.stepMatrix,
            let rotations = stack.record(in: plan, layout, perLayer: perLayer, on: device)
        else { return nil }
        self.rotations = rotations
        if let narrowing {
            guard let narrower = narrowing.stepMatrix else { return nil }
            plan.addLogits(matrix, narrowing: narrower, norm: stack.outputNorm?.stepNorm)
        } else {
            plan.addLogits(matrix, norm: stack.outputNorm?.stepNorm)
        }
    }

    /// Reads `rows`, in the order `order`, where those whose logits are wanted come first.
    ///
    /// - Parameters:
    ///   - rows: each the next token of a sequence of its own, for which the cache has made room.
    ///   - order: the index in `rows` of each row of the step; nil for their own order.
    ///   - wanted: how many of the first have their logits computed.
    ///   - place: called for each row of the step; tells the plan where its sequence's blocks are.
    /// - Returns: `[wanted, vocabulary]`, valid until the next run; nil where none are wanted.
    package func run(
        _ rows: [StepRow], order: [Int]? = nil, wanted: Int, _ place: (StepPlan, Int, StepRow) -> Void
    ) -> Tensor? {
        var last = 0
        for index in rows.indices {
            let row = rows[order?[index] ?? index]
            set(index, row)
            place(plan, index, row)
            last = max(last, row.position)
        }
        plan.reserveBiases(position: last)
        plan.run(rows: rows.count, wanted: wanted)
        return wanted == 0 ? nil : head.finished(plan.logits(rows: wanted), afterStep: true)
    }

    private func set(_ index: Int, _ row: StepRow) {
        precondition(row.token >= 0 && Int(row.token) < vocabulary, "DecoderStep: token \(row.token) is not known")
        plan.setRow(index, token: row.token, position: row.position)
        let target = unsafe plan.input(ofRow: index)
        unsafe input.tokens.write(row.token, scale: input.form.scale, to: target)
        if let later = unsafe plan.positions(ofRow: index) {
            unsafe writePosition(row.position, to: later)
        } else if let norm = input.norm, input.form.factorised?.order != .projectionThenNorm {
            unsafe addPosition(row.position, to: target)
            unsafe norm.stepNorm.apply(to: target, over: other, width: input.tokens.weight.shape[1])
        } else {
            unsafe addPosition(row.position, to: target)
        }
        for rotation in rotations { rotation.set(row: index, position: row.position, extent: row.extent, in: plan) }
    }

    private func addPosition(_ position: Int, to target: UnsafeMutablePointer<Float>) {
        guard input.positions != nil else { return }
        unsafe writePosition(position, to: other.mutableFloats)
        unsafe other.add(to: target, width: positionWidth)
    }

    private var positionWidth: Int {
        input.form.factorised?.order == .projectionThenPositions ? plan.width : input.tokens.weight.shape[1]
    }

    private func writePosition(_ position: Int, to target: UnsafeMutablePointer<Float>) {
        switch input.positions {
        case nil: return
        case .learned(let table, let offset): unsafe table.write(Int32(position + offset), to: target)
        case .sinusoidal(let form, let width):
            // Neighbouring rows are mostly at the same position.
            if sinusoid?.position != position {
                sinusoid = (position, Tensor(PositionTable.row(position, form, width: width), shape: [width]))
            }
            if let sinusoid { unsafe sinusoid.row.write(to: target) }
        }
    }
}

extension BlockStack {
    /// Adds all layers to `plan`; nil where one has a part that steps do not know.
    fileprivate func record(
        in plan: StepPlan, _ layout: KeyValueLayout, perLayer: PerLayerEmbedding?, on device: Device
    ) -> [StepRotation]? {
        guard convolution == nil, let (positions, rotations) = positions.record(in: plan, on: device) else {
            return nil
        }
        let vectors = perLayer?.record(in: plan)
        guard (vectors == nil) == (perLayer == nil) else { return nil }
        let begun = streams?.recordBeginning(in: plan)
        guard (begun == nil) == (streams == nil) else { return nil }
        let tables = layout.tables.map { plan.addTable(window: $0.window) }
        let sources = layout.source.map { _ in plan.addTable(window: nil) }
        var keyBiases: [(form: Architecture.Attention, bias: StepBias)] = []
        for (index, block) in blocks.enumerated() {
            let own = layout.places[index]
            var position = positions[index]
            if let made = block.keyBias {
                let known = keyBiases.first { $0.form == made.form } ?? made
                keyBiases.append(known)
                position = .bias(known.bias)
            }
            let table = block.chunk.map { plan.addTable(chunk: $0, of: tables[own.table]) } ?? tables[own.table]
            let place = StepPlace(
                cache: (table, layout.tables[own.table].offsets[own.layer]),
                source: sources.flatMap { table in
                    layout.sourceLayers[index].map { (table, layout.source?.offsets[$0] ?? 0) }
                }, layer: index, perLayer: vectors, streams: begun)
            guard block.record(in: plan, position, place) else { return nil }
        }
        if let streams, let begun, !streams.recordEnding(in: plan, begun) { return nil }
        return rotations
    }
}

extension InputLayer {
    /// Adds what stands between a token's vector and the residual stream to `plan`; false where steps do not know it.
    fileprivate func record(in plan: StepPlan) -> Bool {
        guard segments == nil, tasks == nil else { return false }
        guard let projection else { return true }
        guard let matrix = projection.stepMatrix else { return false }
        plan.projectInput(matrix)
        if form.factorised?.order == .projectionThenPositions, positions != nil { plan.addPositions() }
        if form.factorised?.order != .normThenProjection, let norm { plan.normStream(norm.stepNorm) }
        return true
    }
}
