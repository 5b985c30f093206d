package import MartletLayers
package import MartletTensors

/// A stack that writes, reading one token of each of a few sequences: the same bits as a pass over `Rows`, in memory that is made once.
///
/// A loop sets each row's token and memory and then runs; the logits are valid until the next run.
package final class DecoderStep {
    private let input: InputLayer
    private let head: TokenHeadLayer
    private let vocabulary: Int
    private let plan: StepPlan
    private var turns: [StepRotation] = []
    /// A row to work with.
    private let other: Tensor
    /// Sines and cosines of the position that was set last.
    private var waves: (position: Int, row: Tensor)?

    /// - Parameters: `rows` sequences at most; keys and values are kept as `cache`.
    /// - Returns: nil for a model with a part that steps do not know; it runs without.
    package convenience init?(_ decoder: Decoder, rows: Int, cache: ElementType = .f32, on device: Device) {
        guard decoder.narrowing == nil else { return nil }
        let plan = StepPlan(capacity: rows, width: decoder.architecture.width, blockType: cache, on: device)
        self.init(
            decoder.stack, decoder.input, decoder.head, decoder.architecture.vocabulary, source: nil, plan, on: device)
    }

    /// An encoder-decoder's second stack about `source`, for `rows` sequences at most, which remember in lanes.
    ///
    /// - Returns: nil for a model with a part that steps do not know; it runs without.
    package convenience init?(_ model: EncoderDecoder, source: Source, rows: Int, on device: Device) {
        guard case .tokens(let head) = model.head else { return nil }
        let plan = StepPlan(
            capacity: rows, width: model.architecture.width, blockType: .f32, lanes: true, on: device)
        self.init(
            model.decoder, model.decoderInput, head, model.targetVocabulary, source: source, plan, on: device)
    }

    private init?(
        _ stack: BlockStack, _ input: InputLayer, _ head: TokenHeadLayer, _ vocabulary: Int, source: Source?,
        _ plan: StepPlan, on device: Device
    ) {
        (self.input, self.head, self.vocabulary, self.plan) = (input, head, vocabulary, plan)
        other = Tensor(Array(repeating: 0, count: input.tokens.weight.shape[1]), shape: [input.tokens.weight.shape[1]])
        guard input.isSteppable, let matrix = head.stepMatrix,
            let turns = stack.record(in: plan, source: source, on: device)
        else { return nil }
        self.turns = turns
        plan.addLogits(matrix, norm: stack.outputNorm?.stepNorm)
    }

    /// Row `row` is `token` at `position` of a sequence that is known to reach `extent`.
    package func set(row: Int, token: Int32, position: Int, extent: Int) {
        precondition(token >= 0 && Int(token) < vocabulary, "DecoderStep: token \(token) is not known")
        let target = unsafe plan.vector(ofRow: row)
        unsafe input.tokens.write(token, scale: input.form.scale, to: target)
        unsafe addPosition(position, to: target)
        if let norm = input.norm { unsafe norm.stepNorm.apply(to: target, over: other) }
        for turn in turns { turn.set(row: row, position: position, extent: max(extent, position + 1), in: plan) }
    }

    private func addPosition(_ position: Int, to target: UnsafeMutablePointer<Float>) {
        switch input.positions {
        case nil: return
        case .learned(let table, let offset):
            unsafe table.write(Int32(position + offset), to: other.mutableFloats)
            unsafe other.add(to: target)
        case .sinusoidal(let form, let width):
            // Neighbouring rows are mostly at the same position.
            if waves?.position != position {
                waves = (position, Tensor(PositionTable.row(position, form, width: width), shape: [width]))
            }
            if let waves { unsafe waves.row.add(to: target) }
        }
    }

    /// Row `row` is the last position of `memory`, room for which has been made there.
    package func setMemory(layer: Int, row: Int, _ memory: KeyValueBlocks) {
        plan.setMemory(layer: layer, row: row, memory)
    }

    /// Row `row` is at `position` of the sequence that `origins` says of `lanes`, where room has been made for it.
    package func setMemory(
        layer: Int, row: Int, _ lanes: LaneBlocks, origins: UnsafePointer<UInt16>, position: Int
    ) {
        unsafe plan.setMemory(layer: layer, row: row, lanes, origins: origins, position: position)
    }

    /// Row i writes about source `indices[i]`.
    package func setSources(_ indices: [Int]) { plan.setSources(indices) }

    /// Reads the first `rows` rows.
    package func run(rows: Int) { plan.run(rows: rows) }

    /// `[vocabulary]`.
    package func logits(row: Int) -> Tensor { head.finished(plan.logits[row], afterStep: true) }

    /// Those of the first rows, `[rows, vocabulary]`.
    package func logits(rows: Int) -> Tensor {
        guard let all = plan.allLogits else { preconditionFailure("DecoderStep: no logits") }
        return head.finished(all.rows(0..<rows), afterStep: true)
    }
}

extension BlockStack {
    /// Adds all layers to `plan`; nil where one has a part that steps do not know.
    fileprivate func record(in plan: StepPlan, source: Source?, on device: Device) -> [StepRotation]? {
        guard convolution == nil, let (rotations, turns) = positions.record(in: plan) else { return nil }
        for (block, rotation) in zip(blocks, rotations)
        where !block.record(in: plan, rotation: rotation, source: source, on: device) { return nil }
        return turns
    }
}

extension InputLayer {
    /// Whether a token's vector is a row of the table, with positions and a norm where there are such.
    fileprivate var isSteppable: Bool { form.factorised == nil && segments == nil }
}
