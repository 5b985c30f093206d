import CMartletKernels

/// The form of the cross-entropy loss: label smoothing and the weight of the z-loss.
package struct LossForm: Sendable, Hashable, Codable {
    /// The share of each target that is spread evenly over all classes (arXiv:1512.00567).
    package var smoothing: Float
    /// The weight of the z-loss, which adds this times (log Σ e^logit)² (arXiv:2204.02311).
    package var zWeight: Float

    package init(smoothing: Float = 0, zWeight: Float = 0) { (self.smoothing, self.zWeight) = (smoothing, zWeight) }

    fileprivate func kernel(factor: Float) -> martlet_loss {
        martlet_loss(smoothing: smoothing, z_weight: zWeight, factor: factor)
    }
}

/// The loss sums of a pass over its targets; sums of passes add up.
package struct LossSums: Sendable, Hashable {
    /// The loss, Σ of the losses of all rows that have a target, in nats.
    package var loss: Double = 0
    /// The number of rows that have a target.
    package var targets = 0
    /// The number of rows whose largest logit is the target's.
    package var correct = 0

    package init() {}

    fileprivate init(_ losses: [Double], correct: [UInt8], _ targets: [Int32]) {
        loss = losses.reduce(0, +)
        self.targets = targets.reduce(0) { $0 + ($1 < 0 ? 0 : 1) }
        self.correct = correct.reduce(0) { $0 + Int($1) }
    }

    package static func += (sum: inout LossSums, other: LossSums) {
        sum.loss += other.loss
        sum.targets += other.targets
        sum.correct += other.correct
    }
}

/// The logit projection, from hidden states to logits: cap(scale · (h Wᵀ + b + …) + constant).
package struct LogitProjection: Sendable {
    /// The projection to `[rows, vocabulary]`; where it learns, its weight is stored.
    package var projection: Projection
    package var scale: Float
    package var constant: Tensor?
    package var cap: Float?

    package init(_ projection: Projection, scale: Float = 1, constant: Tensor? = nil, cap: Float? = nil) {
        (self.projection, self.scale, self.constant, self.cap) = (projection, scale, constant, cap)
    }

    /// Rows `[rows, width]` to logits `[rows, vocabulary]`, untracked.
    fileprivate func logits(_ x: Tensor) -> Tensor {
        var logits = projection.untracked(x)
        if scale != 1 { logits = logits * scale }
        if let constant { logits = logits.adding(toEachRow: constant.untracked) }
        if let cap { logits = logits.softCapped(cap) }
        return logits
    }
}

extension Tensor {
    /// Turns these logits `[rows, classes]`, which the caller owns, into gradients of the losses' sum times `factor`;
    /// nil leaves them.
    package func crossEntropy(_ targets: [Int32], _ form: LossForm, gradientFactor factor: Float?) -> LossSums {
        let (losses, correct) = losses(targets, form, gradientFactor: factor)
        return LossSums(losses, correct: correct, targets)
    }

    /// The loss of each row, and whether its largest logit is the target's, as ``crossEntropy(_:_:gradientFactor:)``
    /// adds them.
    fileprivate func losses(
        _ targets: [Int32], _ form: LossForm, gradientFactor factor: Float?
    ) -> (losses: [Double], correct: [UInt8]) {
        precondition(
            shape.rank == 2 && targets.count == shape[0] && targets.allSatisfy { Int($0) < shape[1] },
            "cross-entropy: \(shape) and \(targets.count) targets up to \(targets.max() ?? -1)")
        let (rows, width, device) = (shape[0], shape[1], device(for: "cross-entropy"))
        var losses = [Double](repeating: 0, count: rows)
        var correct = [UInt8](repeating: 0, count: rows)
        unsafe losses.withUnsafeMutableBufferPointer { losses in
            unsafe correct.withUnsafeMutableBufferPointer { correct in
                unsafe targets.withUnsafeBufferPointer { targets in
                    guard let losses = losses.baseAddress, let correct = correct.baseAddress,
                        let targets = targets.baseAddress
                    else { return }
                    device.parallel(rows, cost: width * 24) { range in
                        var kernel = form.kernel(factor: factor ?? 1)
                        let first = range.lowerBound
                        unsafe martlet_cross_entropy(
                            &kernel, mutableFloats + first * width, targets + first, losses + first, correct + first,
                            factor != nil, range.count, width)
                    }
                }
            }
        }
        return (losses, correct)
    }

    /// The losses of rows `[rows, width]` under a projection, without gradients; logits of a few rows at a time.
    package func crossEntropy(_ projection: LogitProjection, _ targets: [Int32], _ form: LossForm) -> LossSums {
        var sums = LossSums()
        for rows in LogitProjection.chunks(targets.count, projection.projection.outputs) {
            sums += projection.logits(untracked.rows(rows)).crossEntropy(
                Array(targets[rows]), form, gradientFactor: nil)
        }
        return sums
    }
}

extension LogitProjection {
    /// Floats of logits that exist at a time: 64 MiB. Each chunk reads the weight twice and adds to its gradient.
    private static let budget = 1 << 24

    /// Equal shares of the rows, each within the budget.
    fileprivate static func chunks(_ rows: Int, _ vocabulary: Int) -> [Range<Int>] {
        let most = max(64, budget / max(vocabulary, 1))
        let count = (rows + most - 1) / most
        return (0..<count).map { rows * $0 / count..<rows * ($0 + 1) / count }
    }
}

extension GradientFlow {
    /// Projection, losses and their gradients in one: the end of a training pass, after which the flow runs from `x`.
    ///
    /// All logits never exist: rows go through in chunks, ascending, and each chunk's gradients go straight to the
    /// weight and to x.
    ///
    /// - Parameters:
    ///   - x: `[rows, width]`; rows whose target is negative are left out altogether. Where ranks divide rows, those of
    ///     all; each then computes its part of every chunk.
    ///   - factor: of the gradients.
    package mutating func crossEntropy(
        _ x: Tensor, _ projection: LogitProjection, _ targets: [Int32], _ form: LossForm, factor: Float = 1
    ) -> (sums: LossSums, root: GradientNode?) {
        let chosen = targets.indices.filter { targets[$0] >= 0 }
        let all = chosen.count == targets.count
        let rows = all ? x : x.selecting(rows: chosen)
        let targets = all ? targets : chosen.map { targets[$0] }
        var sums = LossSums()
        let dx = device.make(rows.shape)
        for range in LogitProjection.chunks(targets.count, projection.projection.outputs) {
            // A chunk of fewer rows than ranks is computed by each.
            let own = dividedRows.flatMap { range.count < $0.count ? nil : $0.part(of: range.count) } ?? 0..<range.count
            let chunk = range.lowerBound + own.lowerBound..<range.lowerBound + own.upperBound
            let logits = projection.logits(rows.untracked.rows(chunk))
            let capped = projection.cap.map { cap in (cap, logits * 1) }
            let (losses, correct) = logits.losses(Array(targets[chunk]), form, gradientFactor: factor)
            sums += summed(losses, correct, Array(targets[range]))
            var gradient = logits
            if let (cap, values) = capped {
                gradient = unsafe values.combined(with: logits, "softCapped", cost: 4) {
                    unsafe martlet_soft_cap_backward($0, $1, cap, $2, $3)
                }
            }
            if let dividedRows {
                addGradients(
                    of: projection, gradient, at: rows.untracked.rows(range), into: dx.rows(range), dividedRows)
                continue
            }
            addColumnSums(gradient, to: projection.constant?.node)
            if projection.scale != 1 { gradient = gradient * projection.scale }
            addGradients(of: projection.projection, gradient, at: rows.untracked.rows(chunk), into: dx.rows(range))
        }
        add(dx, to: rows.node)
        return (sums, rows.node)
    }

    /// The sums over the rows of a chunk, of which each rank has its part.
    private func summed(_ losses: [Double], _ correct: [UInt8], _ targets: [Int32]) -> LossSums {
        guard let dividedRows, losses.count < targets.count else {
            return LossSums(losses, correct: correct, targets)
        }
        let own = device.make([losses.count, 3])
        for (row, loss) in losses.enumerated() {
            let bits = loss.bitPattern
            unsafe own.mutableFloats[row * 3] = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            unsafe own.mutableFloats[row * 3 + 1] = Float(bitPattern: UInt32(truncatingIfNeeded: bits >> 32))
            unsafe own.mutableFloats[row * 3 + 2] = Float(correct[row])
        }
        let all = dividedRows.whole(own, dividedRows.parts(of: targets.count), on: device)
        let numbers = (0..<targets.count).map { row in
            unsafe Double(
                bitPattern: UInt64(all.floats[row * 3].bitPattern) | UInt64(all.floats[row * 3 + 1].bitPattern) << 32)
        }
        // Whatever it is where a message did not arrive, which is told when the pass ends.
        let rights = (0..<targets.count).map { row -> UInt8 in unsafe all.floats[row * 3 + 2] == 1 ? 1 : 0 }
        return LossSums(numbers, correct: rights, targets)
    }

    /// The gradients of a projection of a chunk's rows, of which each rank has computed its part, or all.
    ///
    /// - Parameters: `x`: all rows of the chunk; `dx`: as x, which the caller owns.
    private mutating func addGradients(
        of projection: LogitProjection, _ gradient: Tensor, at x: Tensor, into dx: Tensor, _ ranks: any RowRanks
    ) {
        let (device, parts) = (device, ranks.parts(of: x.shape[0]))
        func whole(_ part: Tensor) -> Tensor {
            part.shape[0] == x.shape[0] ? part : ranks.whole(part, parts, on: device)
        }
        if let node = projection.constant?.node { addColumnSums(ofWhole: whole(gradient), to: node) }
        let gradient = projection.scale == 1 ? gradient : gradient * projection.scale
        guard case .stored(let weight) = projection.projection.weight, projection.projection.addends.isEmpty else {
            preconditionFailure("loss: rows are divided beside a weight that is not stored alone")
        }
        let operands = projection.projection.operands
        if let node = projection.projection.bias?.node { addColumnSums(ofWhole: whole(gradient), to: node) }
        let slopes = gradient.multiplied(byTransposed: weight.untracked, as: operands, on: device)
        dx.overwrite(with: whole(slopes), adding: false)
        guard let node = weight.node else { return }
        addProduct(ofColumns: gradient, withWhole: x, parts, as: operands, to: node, ranks)
    }
}
