/// The inverse questions: what fits a budget of memory.
package struct InferenceLimits: Sendable {
    let blueprint: Blueprint
    let weights: WeightStorage
    let layout: CacheLayout
    let budget: Count
    let program: Count

    package init(
        _ blueprint: Blueprint, weights: WeightStorage, cache: CacheLayout = CacheLayout(), budget: Count,
        program: Count = 0
    ) {
        (self.blueprint, self.weights, layout, self.budget, self.program) = (blueprint, weights, cache, budget, program)
    }

    /// The context in tokens beyond which no model here is asked.
    private static let farthest = 1 << 26

    /// The longest context that fits, for so many sequences; nil when not even one token does.
    ///
    /// The model's own limit is not applied: it is a property of its positions, not of memory.
    package func longestContext(sequences: Int = 1) throws(PlanningError) -> Quantity? {
        let found = try largest { tokens throws(PlanningError) in
            try self.total(Workload(sequences: sequences, tokens: tokens))
        }
        return found.map { quantity($0, .tokens, "limits.longest_context", "sequences", sequences) }
    }

    /// The maximum number of sequences of `tokens` that fit; nil when not even one does.
    package func largestBatch(tokens: Int) throws(PlanningError) -> Quantity? {
        let found = try largest { sequences throws(PlanningError) in
            try self.total(Workload(sequences: sequences, tokens: tokens))
        }
        return found.map { quantity($0, .sequences, "limits.largest_batch", "tokens each", tokens) }
    }

    /// The file type with the most bits per weight that fits beside the cache, from `candidates`.
    package static func bestQuantization(
        _ blueprint: Blueprint, workload: Workload, cache: CacheLayout = CacheLayout(), budget: Count,
        program: Count = 0,
        candidates: [FileType] = FileType.recommended
    ) throws(PlanningError) -> (type: FileType, memory: InferenceMemory)? {
        for type in candidates {
            let memory = try InferenceMemory(
                blueprint, weights: .mixed(type), cache: cache, workload: workload, program: program)
            if memory.total.count ?? .max <= budget { return (type, memory) }
        }
        return nil
    }

    private func total(_ workload: Workload) throws(PlanningError) -> Count {
        try InferenceMemory(blueprint, weights: weights, cache: layout, workload: workload, program: program).total
            .count ?? .max
    }

    private func quantity(_ value: Int, _ unit: Unit, _ name: String, _ other: String, _ count: Int) -> Quantity {
        Quantity(
            Count(value), unit,
            Formula(
                name, "the most for which weights + cache + buffers + logits + program ≤ budget",
                convention: layout.text,
                source: "bisection over memory.inference"),
            [.init("budget", budget), .init(other, count), .init("weights", weights.description)])
    }

    /// The largest count whose memory, growing with it, is within the budget.
    private func largest(_ memory: (Int) throws(PlanningError) -> Count) throws(PlanningError) -> Int? {
        guard try memory(1) <= budget else { return nil }
        var (fits, fails) = (1, 2)
        while fails <= InferenceLimits.farthest, try memory(fails) <= budget { (fits, fails) = (fails, 2 * fails) }
        guard fails <= InferenceLimits.farthest else { return fits }
        while fails - fits > 1 {
            let middle = (fits + fails) / 2
            if try memory(middle) <= budget { fits = middle } else { fails = middle }
        }
        return fits
    }
}
