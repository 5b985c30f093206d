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
        var sums = LossSums()
        sums.loss = losses.reduce(0, +)
        sums.targets = targets.reduce(0) { $0 + ($1 < 0 ? 0 : 1) }
        sums.correct = correct.reduce(0) { $0 + Int($1) }
        return sums
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
    ///   - x: `[rows, width]`; rows whose target is negative are left out altogether.
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
            let part = rows.untracked.rows(range)
            let logits = projection.logits(part)
            let capped = projection.cap.map { cap in (cap, logits * 1) }
            sums += logits.crossEntropy(Array(targets[range]), form, gradientFactor: factor)
            var gradient = logits
            if let (cap, values) = capped {
                gradient = unsafe values.combined(with: logits, "softCapped", cost: 4) {
                    unsafe martlet_soft_cap_backward($0, $1, cap, $2, $3)
                }
            }
            addColumnSums(gradient, to: projection.constant?.node)
            if projection.scale != 1 { gradient = gradient * projection.scale }
            addGradients(of: projection.projection, gradient, at: part, into: dx.rows(range))
        }
        add(dx, to: rows.node)
        return (sums, rows.node)
    }
}
