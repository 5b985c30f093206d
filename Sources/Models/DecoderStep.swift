import MartletLayers
package import MartletTensors

/// A decoder reading one token of each of a few sequences: the same bits as a pass over `Rows`, in memory that is made once.
///
/// A loop sets each row's token and memory and then runs; the logits are valid until the next run.
package final class DecoderStep {
    private let decoder: Decoder
    private let plan: StepPlan
    private let turns: [StepRotation]
    private let input: Tensor

    /// - Parameters: `rows` sequences at most; keys and values are kept as `cache`.
    /// - Returns: nil for a model with a part that steps do not know; it runs without.
    package init?(_ decoder: Decoder, rows: Int, cache: ElementType = .f32, on device: Device) {
        self.decoder = decoder
        let width = decoder.architecture.width
        plan = StepPlan(capacity: rows, width: width, blockType: cache, on: device)
        input = Tensor(Array(repeating: 0, count: width), shape: [width])
        guard decoder.narrowing == nil, decoder.input.isSteppable, let head = decoder.head.stepMatrix,
            let turns = decoder.stack.record(in: plan)
        else { return nil }
        self.turns = turns
        plan.addLogits(head, norm: decoder.stack.outputNorm?.stepNorm)
    }

    /// Row `row` is `token` at `position` of a sequence that is known to reach `extent`.
    package func set(row: Int, token: Int32, position: Int, extent: Int) {
        precondition(
            token >= 0 && Int(token) < decoder.architecture.vocabulary, "DecoderStep: token \(token) is not known")
        unsafe decoder.input.write(token, position: position, to: plan.vector(ofRow: row), over: input)
        for turn in turns { turn.set(row: row, position: position, extent: max(extent, position + 1), in: plan) }
    }

    /// Row `row` is the last position of `memory`, room for which has been made there.
    package func setMemory(layer: Int, row: Int, _ memory: KeyValueBlocks) {
        plan.setMemory(layer: layer, row: row, memory)
    }

    /// Reads the first `rows` rows.
    package func run(rows: Int) { plan.run(rows: rows) }

    /// `[vocabulary]`.
    package func logits(row: Int) -> Tensor { decoder.head.finished(plan.logits[row]) }
}

extension BlockStack {
    /// Adds all layers to `plan`; nil where one has a part that steps do not know.
    fileprivate func record(in plan: StepPlan) -> [StepRotation]? {
        guard convolution == nil, let (rotations, turns) = positions.record(in: plan) else { return nil }
        for (block, rotation) in zip(blocks, rotations) where !block.record(in: plan, rotation: rotation) { return nil }
        return turns
    }
}

extension InputLayer {
    /// Whether a token's vector is a row of the table, with learned positions and a norm where there are such.
    fileprivate var isSteppable: Bool {
        switch positions {
        case nil, .learned: form.factorised == nil && segments == nil
        case .sinusoidal: false
        }
    }

    /// The vector of `token` at `position`; `other` is a row to work with.
    fileprivate func write(
        _ token: Int32, position: Int, to target: UnsafeMutablePointer<Float>, over other: Tensor
    ) {
        unsafe tokens.write(token, scale: form.scale, to: target)
        if case .learned(let table, let offset) = positions {
            unsafe table.write(Int32(position + offset), to: other.mutableFloats)
            unsafe other.add(to: target)
        }
        if let norm { unsafe norm.stepNorm.apply(to: target, over: other) }
    }
}
