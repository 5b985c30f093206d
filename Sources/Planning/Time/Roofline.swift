internal import MartletLayers

/// The roofline of a phase: whether arithmetic or memory sets its time (Williams, Waterman and Patterson 2009).
package struct Roofline: Sendable, Hashable {
    /// The limit that sets the time: arithmetic or memory bandwidth.
    package enum Limit: String, Sendable, Hashable, Codable { case arithmetic, memory }

    /// The arithmetic of the phase, in floating-point operations.
    package let operations: Double
    /// The bytes that must move between memory and the processor.
    package let bytes: Double
    /// The peak arithmetic rate, in operations per second.
    package let peak: Double
    /// The memory bandwidth, in bytes per second.
    package let bandwidth: Double

    package init(operations: Double, bytes: Double, peak: Double, bandwidth: Double) {
        (self.operations, self.bytes, self.peak, self.bandwidth) = (operations, bytes, peak, bandwidth)
    }

    /// The ridge point, in operations per byte, above which arithmetic is the limit.
    package static func ridge(peak: Double, bandwidth: Double) -> Quantity {
        Quantity(
            peak / bandwidth, .flopPerByte,
            Formula("roofline.ridge", "peak / bandwidth", convention: "dense peak", source: "Williams et al. 2009"),
            [.init("peak", peak), .init("bandwidth", bandwidth)])
    }

    /// The arithmetic intensity, in operations per byte.
    package var intensity: Quantity {
        Quantity(
            operations / max(bytes, 1), .flopPerByte,
            Formula(
                "roofline.intensity", "operations / bytes", convention: "bytes that must move",
                source: "Williams et al. 2009"),
            [.init("operations", operations), .init("bytes", bytes)])
    }

    package var limit: Limit { operations / peak >= bytes / bandwidth ? .arithmetic : .memory }

    /// The minimum time, max(operations / peak, bytes / bandwidth): nothing is faster.
    package var least: Quantity {
        Quantity(
            max(operations / peak, bytes / bandwidth), .seconds,
            Formula(
                "roofline.time", "max(operations / peak, bytes / bandwidth)",
                convention: "a bound, at full use of one of the two",
                source: "Williams et al. 2009"),
            [
                .init("operations", operations), .init("bytes", bytes), .init("peak", peak),
                .init("bandwidth", bandwidth),
            ])
    }

    /// The bound, and what it becomes at the stated shares of the peaks.
    package func range(best: Double, usual: Double, poor: Double) -> Quantity {
        let bound = least.amount
        return Quantity(
            .range(low: bound / best, middle: bound / usual, high: bound / poor), .seconds,
            Formula(
                "roofline.expected", "max(operations / peak, bytes / bandwidth) / share",
                convention: "shares \(shortened(best)), \(shortened(usual)), \(shortened(poor)) of the limit",
                source: "Williams et al. 2009"), least.inputs)
    }
}

extension Roofline {
    /// The roofline of a decode step of `sequences` with `context` tokens each: weights of active experts and the cache
    /// are read once.
    package static func decode(
        _ blueprint: Blueprint, weights: WeightStorage, cache: CacheLayout, context: Int, sequences: Int,
        sourceTokens: Int = 0,
        peak: Double, bandwidth: Double
    ) throws(PlanningError) -> Roofline {
        let operations = OperationCount(blueprint).decode(
            context: context, sequences: sequences, sourceTokens: sourceTokens)
        let read = try blueprint.bytesRead(weights, sequences: sequences)
        let kept = CacheFootprint(blueprint, layout: cache)
            .bytes(Workload(sequences: sequences, tokens: context, sourceTokens: sourceTokens))
        return Roofline(operations: operations.amount, bytes: read + kept.amount, peak: peak, bandwidth: bandwidth)
    }

    /// The roofline of prefill: all weights once, the cache written.
    package static func prefill(
        _ blueprint: Blueprint, weights: WeightStorage, cache: CacheLayout, workload: Workload, peak: Double,
        bandwidth: Double
    ) throws(PlanningError) -> Roofline {
        var convention = OperationConvention.matrixProducts
        convention.attention = .seen
        let operations = OperationCount(blueprint, convention: convention).prefill(workload)
        let read = try blueprint.bytesRead(weights, sequences: workload.sequences * workload.tokens)
        let kept = CacheFootprint(blueprint, layout: cache).bytes(workload)
        return Roofline(operations: operations.amount, bytes: read + kept.amount, peak: peak, bandwidth: bandwidth)
    }
}

extension Blueprint {
    /// The size in bytes of the weights that a decode step of so many sequences reads.
    package func decodeBytes(_ storage: WeightStorage, sequences: Int = 1) throws(PlanningError) -> Quantity {
        Quantity(
            try bytesRead(storage, sequences: sequences), .bytes,
            Formula(
                "memory.decode_read", "Σ bytes of tensors that a token meets",
                convention: "no token table unless the head uses it; of experts those that are met",
                source: "the list of tensors"),
            [.init("sequences", sequences), .init("weights", storage.description)])
    }

    /// The size in bytes of the weights that a pass over so many rows reads: not the token table, of which it copies
    /// rows, unless the head uses it; of the experts those that rows chosen independently meet, count · (1 − (1 −
    /// active / count)^rows).
    func bytesRead(_ storage: WeightStorage, sequences rows: Int) throws(PlanningError) -> Double {
        let total = try weightBytes(storage).amount
        let all = tensors.reduce(0.0) { $0 + Double($1.elements) }
        guard all > 0 else { return 0 }
        var read = 0.0
        for tensor in tensors {
            switch tensor.use {
            case .lookedUp: read += tensor.role == .tokens && headIsTied ? Double(tensor.elements) : 0
            case .multiplied, .elementwise: read += Double(tensor.elements)
            case .routed(let active, let count):
                var missed = 1.0
                for _ in 0..<min(rows, 4096) { missed *= 1 - Double(active) / Double(max(count, 1)) }
                read += Double(tensor.elements) * (1 - missed)
            }
        }
        return total * read / all
    }

    var headIsTied: Bool { head.projection == .tied }
}
