/// The plan of a model, everything the planner has to say about it: named quantities in sections, and what was assumed.
///
///     let model = try Preset.model(named: "llama-3-8b")
///     let plan = try Plan(model, PlanRequest())
///     print(plan["parameters", "total"]?.readable ?? "")
public struct Plan: Sendable {
    /// A group of quantities under one heading.
    public struct Section: Sendable {
        /// The heading.
        public let name: String
        /// The quantities by their keys, in order.
        public internal(set) var entries: [(key: String, quantity: Quantity)]
    }

    /// The model that is planned.
    public let model: DescribedModel
    /// The request that the plan answers.
    public let request: PlanRequest
    /// The quantities, group by group.
    public internal(set) var sections: [Section] = []
    /// Notes on what was assumed, defaulted, ignored or left out, in words.
    public package(set) var notes: [String] = []
    /// The short answer: whether it fits, how long a text may be, how fast it is.
    public package(set) var answer: [String] = []
    /// The fastest layout that `martlet train` runs, and the command that runs it.
    var runnable: (candidate: LayoutSearch.Candidate, command: String)? {
        guard let batch = request.training?.globalBatch else { return nil }
        return layouts?.fitting.lazy.compactMap { candidate in
            candidate.layout.command(globalBatch: batch, sharesTable: blueprint.head.projection == .tied)
                .map { (candidate, $0) }
        }.first
    }

    /// The layouts of the training run, where one was asked for.
    package internal(set) var layouts: LayoutSearch.Result?
    /// The fastest of them simulated, by their simulated time, where that was asked for.
    package internal(set) var simulations: [SimulatedIteration] = []
    /// The operations of a pass by term.
    package internal(set) var terms: [OperationTerm: Count] = [:]
    package let workload: Workload

    package var blueprint: Blueprint { model.blueprint }

    /// - Throws: ``PlanningError`` for a question that has no answer.
    public init(_ model: DescribedModel, _ request: PlanRequest) throws(PlanningError) {
        (self.model, self.request) = (model, request)
        let tokens = request.context ?? min(model.blueprint.context ?? 4096, 4096)
        guard tokens > 0, request.sequences > 0, Count(tokens) * Count(request.sequences) <= 1 << 32 else {
            throw .impossible("context and batch must be positive, and at most 2³² tokens together")
        }
        workload = Workload(sequences: request.sequences, tokens: tokens, sourceTokens: request.sourceTokens)
        noteAssumptions()
        addParameters()
        addOperations()
        try addMemory()
        if let hardware = request.hardware { try addTime(hardware) }
        if request.budget != nil || request.hardware?[.memory] != nil { try addLimits() }
        if let training = request.training { try addTraining(training) }
    }

    /// The quantity under `key` of a section.
    public subscript(_ section: String, _ key: String) -> Quantity? {
        sections.first { $0.name == section }?.entries.first { $0.key == key }?.quantity
    }

    /// Takes out the quantities of a section whose keys are as said.
    package mutating func remove(_ section: String, where isUnwanted: (String) -> Bool) {
        guard let known = sections.firstIndex(where: { $0.name == section }) else { return }
        sections[known].entries.removeAll { isUnwanted($0.key) }
    }

    package mutating func add(_ section: String, _ entries: [(String, Quantity)]) {
        let named = entries.map { (key: $0.0, quantity: $0.1) }
        if let known = sections.firstIndex(where: { $0.name == section }) {
            sections[known].entries += named
        } else {
            sections.append(Section(name: section, entries: named))
        }
    }

    private mutating func noteAssumptions() {
        if request.context == nil {
            notes.append("context not given: \(workload.tokens) tokens, the model's own up to 4,096")
        }
        if let longest = blueprint.context, workload.tokens > longest {
            notes.append(
                "the model was made for \(grouped(Count(longest))) tokens, and \(grouped(Count(workload.tokens))) are asked for"
            )
        }
        if !model.defaulted.isEmpty {
            notes.append(
                "not in the configuration, so the documented default of \(blueprint.modelType): \(model.defaulted.joined(separator: ", "))"
            )
        }
        if !model.ignored.isEmpty {
            notes.append(
                "in the configuration and without a part in the plan: \(model.ignored.joined(separator: ", "))")
        }
        notes.append(
            blueprint.architecture == nil
                ? "Martlet describes \(blueprint.modelType) for planning and does not run it: parameters follow from the description"
                : "parameters are the list of the model that Martlet would run")
    }

    private mutating func addParameters() {
        let count = ParameterCount(blueprint)
        add(
            "parameters",
            [
                ("total", count.total), ("active", count.active), ("non_embedding", count.nonEmbedding),
                ("tied", count.tied),
                ("active_without_token_table", count.activeWithoutTokenTable),
            ])
    }

    private mutating func addOperations() {
        let operations = OperationCount(blueprint)
        terms = operations.forwardTerms(workload)
        add("flops", [("forward", operations.forward(workload)), ("backward", operations.backward(workload))])
        guard blueprint.hasDecoder else { return }
        let seen = OperationCount(blueprint, convention: .init(attention: .seen)).forward(workload)
        add(
            "flops",
            [
                ("prefill", operations.prefill(workload)),
                (
                    "decode_token",
                    operations.decode(
                        context: workload.tokens, sequences: workload.sequences,
                        sourceTokens: blueprint.sourceRows(workload))
                ),
                ("forward_causal", seen),
            ])
    }

    private mutating func addMemory() throws(PlanningError) {
        let memory = try InferenceMemory(blueprint, weights: request.weights, cache: request.cache, workload: workload)
        add(
            "memory",
            [
                ("weights_bytes", memory.weights), ("kv_cache_bytes", memory.cache),
                ("kv_cache_bytes_per_token", CacheFootprint(blueprint, layout: request.cache).bytesPerToken),
                ("buffers_bytes", memory.buffers), ("logits_bytes", memory.logits), ("total_bytes", memory.total),
            ])
        for type in [FileType.q8_0, .q6_K, .q5_K_M, .q4_K_M, .q3_K_M, .q2_K] {
            guard blueprint.hasDecoder, let file = try? QuantizedFile(blueprint, fileType: type) else { continue }
            add(
                "gguf",
                [
                    ("\(type.rawValue)_bytes", file.tensorBytes),
                    ("\(type.rawValue)_bits_per_weight", file.bitsPerWeight),
                ])
        }
    }

    private mutating func addLimits() throws(PlanningError) {
        let budget = request.budget ?? Count(request.hardware?[.memory] ?? 0)
        let limits = InferenceLimits(blueprint, weights: request.weights, cache: request.cache, budget: budget)
        let room = Quantity(
            budget, .bytes,
            Formula(
                "limits.budget", "what everything must fit in", convention: "as given or as the device has",
                source: "the request"))
        add("limits", [("budget_bytes", room)])
        if !isAnsweredByEngine { addVerdict(budget) }
        guard blueprint.hasDecoder else { return }
        if let longest = try limits.longestContext(sequences: workload.sequences) {
            if !isAnsweredByEngine {
                add("limits", [("longest_context", longest)])
                let made = blueprint.context.map { " (the model was made for \(grouped(Count($0))))" } ?? ""
                answer.append("the longest context that fits: \(grouped(longest.count ?? 0)) tokens\(made)")
            }
        } else {
            notes.append("the weights alone do not fit \(readableBytes(Double(budget)))")
        }
        if let batch = try limits.largestBatch(tokens: workload.tokens) { add("limits", [("largest_batch", batch)]) }
        if let best = try? InferenceLimits.bestQuantization(
            blueprint, workload: workload, cache: request.cache, budget: budget)
        {
            let bits = try QuantizedFile(blueprint, fileType: best.type).bitsPerWeight
            notes.append(
                "best of the file types that `quantize` writes which fits: \(best.type.rawValue), \(best.memory.total.readable)"
            )
            add(
                "limits", [("best_quantization_bits_per_weight", bits), ("best_quantization_bytes", best.memory.total)])
        }
    }

    /// True where the verdict is that of the engine on this machine.
    private var isAnsweredByEngine: Bool { request.isHere && model.architecture != nil }

    /// Adds the verdict, whether it fits, and where it does not the nearest remedy.
    private mutating func addVerdict(_ budget: Count) {
        guard let needed = self["memory", "total_bytes"] else { return }
        let place = request.budget == nil ? (request.hardware.map { " on \($0.name)" } ?? "") : ""
        answer.append(
            needed.count ?? .max <= budget
                ? "fits\(place): \(needed.readable) of \(readableBytes(Double(budget)))"
                : "does not fit \(readableBytes(Double(budget)))\(place): \(needed.readable) are needed\(remedy ?? "")")
    }

    /// The remedy for a model that does not fit: a file type, or how many devices its weights are spread over.
    package var remedy: String? {
        let budget = request.budget ?? Count(request.hardware?[.memory] ?? 0)
        if let best = try? InferenceLimits.bestQuantization(
            blueprint, workload: workload, cache: request.cache, budget: budget)
        {
            return "; as \(best.type.rawValue) it fits with \(best.memory.total.readable)"
        }
        guard let needed = self["memory", "total_bytes"]?.count, budget > 0 else { return nil }
        return "; \((needed + budget - 1) / budget) such devices hold it together"
    }
}
