internal import MartletLayers

/// The memory of inference, what running a model keeps: weights, KV cache, the buffers of a pass, and a constant of the
/// program.
package struct InferenceMemory: Sendable {
    package let weights: Quantity
    package let cache: Quantity
    /// The activations of one pass over the rows that go through at once, the widest of them.
    package let buffers: Quantity
    /// Logits in 32 bits for the rows that need them.
    package let logits: Quantity
    /// The memory that the program takes before any model; stated, not computed.
    package let program: Quantity

    /// - Parameters:
    ///   - rowsAtOnce: rows of one pass: the chunk in which prompts are read.
    ///   - program: bytes that the running program takes by itself; 0 when it is left to the reader.
    package init(
        _ blueprint: Blueprint, weights: WeightStorage, cache layout: CacheLayout, workload: Workload,
        rowsAtOnce: Int? = nil,
        program: Count = 0
    ) throws(PlanningError) {
        let rows = max(1, rowsAtOnce ?? min(workload.tokens * workload.sequences, 512))
        self.weights = try blueprint.weightBytes(weights)
        cache = CacheFootprint(blueprint, layout: layout).bytes(workload)
        buffers = InferenceMemory.buffers(blueprint, rows: rows)
        let logitRows = Count(max(workload.sequences, 1))
        logits = Quantity(
            blueprint.headIsAbsent ? 0 : 4 * Count(blueprint.vocabulary) * logitRows, .bytes,
            Formula(
                "memory.logits", "4 · vocabulary · sequences", convention: "32 bits, last positions",
                source: "this engine"),
            [.init("vocabulary", blueprint.vocabulary), .init("sequences", workload.sequences)])
        self.program = Quantity(
            program, .bytes,
            Formula(
                "memory.program", "a constant of the runtime", convention: "stated, not computed", source: "the caller")
        )
    }

    package var total: Quantity {
        let parts = [weights, cache, buffers, logits, program]
        return Quantity(
            parts.reduce(0) { $0 + ($1.count ?? 0) }, .bytes,
            Formula(
                "memory.inference", "weights + cache + buffers + logits + program", convention: "all resident at once",
                source: "the parts"),
            zip(["weights", "cache", "buffers", "logits", "program"], parts).map { .init($0, $1.count ?? 0) })
    }

    /// The bytes of buffers: 4 bytes · rows · (2 residual streams + the widest layer's queries, keys, values and hidden
    /// elements).
    private static func buffers(_ blueprint: Blueprint, rows: Int) -> Quantity {
        let widest =
            blueprint.stacks.flatMap(\.layers).map { layer -> Int in
                let attention = layer.attention
                let hidden: Int
                switch layer.feedForward {
                case .plain(let width): hidden = width
                case .gated(let width): hidden = 2 * width
                case .experts(_, let active, let width, let shared): hidden = 2 * (active * width + shared)
                }
                return max(
                    attention.queryWidth + attention.keyWidth + attention.valuesWidth + attention.outputWidth, hidden)
            }.max() ?? 0
        return Quantity(
            4 * Count(rows) * Count(2 * blueprint.width + widest), .bytes,
            Formula(
                "memory.buffers", "4 · rows · (2 · width + widest layer)",
                convention: "f32, one layer's buffers reused",
                source: "this engine"),
            [.init("rows", rows), .init("width", blueprint.width), .init("widest layer", widest)])
    }
}

extension Blueprint {
    var headIsAbsent: Bool { head.projection == .none }
}
