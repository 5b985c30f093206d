extension Plan {
    /// Shares of a limit that runs reach: the best, the usual and a poor one. Measured decode steps of good engines
    /// reach 60 to 90 % of the bandwidth (Databricks; gpt-fast), prefills 35 to 75 % of the peak.
    private static let bandwidthShares = (best: 0.9, usual: 0.75, poor: 0.55)
    private static let peakShares = (best: 0.75, usual: 0.55, poor: 0.35)

    mutating func addTime(_ hardware: Hardware) throws(PlanningError) {
        guard let peak = peak(of: hardware), let bandwidth = hardware[.bandwidth] else {
            if request.isHere {
                notes.append("this machine was not measured yet: `--refresh` measures it once, for speeds")
                return
            }
            throw .impossible("\(hardware.name): peak and bandwidth are needed; give them in a hardware file")
        }
        notes.append("hardware: \(hardware.name), \(shortened(peak)) FLOP/s, \(shortened(bandwidth)) bytes/s")
        add("time", [("ridge", Roofline.ridge(peak: peak, bandwidth: bandwidth))])
        guard blueprint.hasDecoder else {
            let bytes = try blueprint.weightBytes(request.weights).amount
            let forward = self["flops", "forward"]?.amount ?? 0
            addPhase("forward", Roofline(operations: forward, bytes: bytes, peak: peak, bandwidth: bandwidth))
            return
        }
        let prefill = try Roofline.prefill(
            blueprint, weights: request.weights, cache: request.cache, workload: workload, peak: peak,
            bandwidth: bandwidth)
        let decode = try Roofline.decode(
            blueprint, weights: request.weights, cache: request.cache, context: workload.tokens,
            sequences: workload.sequences,
            sourceTokens: blueprint.sourceRows(workload), peak: peak, bandwidth: bandwidth)
        add(
            "memory", [("decode_read_bytes", try blueprint.decodeBytes(request.weights, sequences: workload.sequences))]
        )
        addPhase("prefill", prefill)
        addPhase("decode", decode)
        addSpeed("prefill", prefill, tokens: Double(workload.tokens * workload.sequences))
        addSpeed("decode", decode, tokens: Double(workload.sequences))
        if let speculation = request.speculation {
            add(
                "time",
                [
                    ("speculation_tokens_per_pass", speculation.tokensPerPass),
                    ("speculation_speed_up", speculation.speedUp),
                    ("speculation_operations", speculation.operationsFactor),
                ])
        }
    }

    /// The peak of products with these weights: of this machine, of what this engine multiplies with.
    func peak(of hardware: Hardware) -> Double? {
        let type: StorageType = if case .uniform(let type) = request.weights { type } else { .f16 }
        return request.isHere ? hardware[enginePeak] : hardware.peak(for: type)
    }

    /// The peak of what this engine multiplies with: int8 for block formats, f32 for the rest.
    private var enginePeak: Hardware.Field {
        switch request.weights {
        case .uniform(let type): type.blockElements > 1 ? .integerPeak : .singlePeak
        case .mixed: .integerPeak
        case .stored(let types): types.values.contains { $0.blockElements > 1 } ? .integerPeak : .singlePeak
        }
    }

    private func shares(_ phase: Roofline) -> (best: Double, usual: Double, poor: Double) {
        phase.limit == .memory ? Plan.bandwidthShares : Plan.peakShares
    }

    private mutating func addPhase(_ name: String, _ phase: Roofline) {
        let shares = shares(phase)
        notes.append("\(name) is limited by \(phase.limit.rawValue)")
        add(
            "time",
            [
                ("\(name)_intensity", phase.intensity), ("\(name)_least_seconds", phase.least),
                ("\(name)_seconds", phase.range(best: shares.best, usual: shares.usual, poor: shares.poor)),
            ])
    }

    private mutating func addSpeed(_ name: String, _ phase: Roofline, tokens: Double) {
        let shares = shares(phase)
        let rate = tokens / phase.least.amount
        add(
            "time",
            [
                (
                    "\(name)_tokens_per_second",
                    Quantity(
                        .range(low: rate * shares.poor, middle: rate * shares.usual, high: rate * shares.best),
                        .tokensPerSecond,
                        Formula(
                            "time.tokens_per_second", "tokens · share / max(operations / peak, bytes / bandwidth)",
                            convention: "shares \(shares.best), \(shares.usual), \(shares.poor) of the limit",
                            source: "Williams et al. 2009"),
                        phase.least.inputs + [.init("tokens", tokens)])
                )
            ])
    }

    // MARK: - Training

    mutating func addTraining(_ training: PlanRequest.Training) throws(PlanningError) {
        guard let hardware = request.hardware else { throw .impossible("a training plan needs --hardware") }
        guard training.tokens > 0, training.devices > 0, training.globalBatch > 0 else {
            throw .impossible("tokens, devices and batch of a training run must be positive")
        }
        let total = ParameterCount(blueprint).active.amount
        let exact = operations(of: training)
        add(
            "training",
            [("flops", exact), ("flops_6nd", TrainingOperations.sixND(parameters: total, tokens: training.tokens))])
        addScaling(parameters: total, tokens: training.tokens)
        if let peak = hardware.peak(for: .bf16) {
            let prior = Utilization.timeFromPublishedRuns(
                operations: exact.amount, devices: training.devices, peak: peak)
            add("training", [("seconds_from_published_runs", prior)])
        }
        let search = try LayoutSearch(
            blueprint, hardware: hardware, devices: training.devices, globalBatch: training.globalBatch,
            tokens: workload.tokens,
            recipe: training.recipe)
        let result = search.run()
        layouts = result
        notes += search.model.model.assumptions
        guard let best = result.fitting.first else {
            let least =
                result.smallest.map { "; the smallest takes \(readableBytes($0.bytes)): \($0.layout.text)" } ?? ""
            notes.append("none of \(result.tried) layouts fits\(least)")
            return
        }
        if training.simulates { simulations = search.simulated(result) }
        addRun(best, training, hardware, operations: exact.amount)
    }

    /// The floating-point operations of a training run.
    private func operations(of training: PlanRequest.Training) -> Quantity {
        let passes = training.recipe.passes(blueprint)
        let times = passes == passes.rounded() ? "\(Int(passes))" : "\((passes * 100).rounded() / 100)"
        let forward = OperationCount(blueprint)
            .forward(Workload(tokens: workload.tokens, sourceTokens: request.sourceTokens)).amount
        let perSequence = passes * forward
        return Quantity(
            perSequence / Double(workload.tokens) * training.tokens, .flop,
            Formula(
                "training.flops", "\(times) · forward · sequences",
                convention: "matrix products, full square, no recomputation",
                source: "matrix products of the description"),
            [.init("tokens", training.tokens), .init("forward", perSequence / passes)])
    }

    private mutating func addRun(
        _ best: LayoutSearch.Candidate, _ training: PlanRequest.Training, _ hardware: Hardware, operations: Double
    ) {
        let steps = training.tokens / Double(workload.tokens * training.globalBatch)
        let step = best.time.quantity([.init("layout", best.layout.text)])
        let seconds = step.map { $0 * steps }
        let run = Quantity(
            Quantity.Value(seconds), .seconds,
            Formula(
                "training.seconds", "steps · iteration", convention: "no stops, no evaluation", source: "time.iteration"
            ),
            [.init("steps", steps), .init("iteration", step.readable)])
        let memory = TrainingFootprint(
            blueprint, recipe: training.recipe, layout: best.layout, tokens: workload.tokens,
            sourceTokens: request.sourceTokens,
            microBatches: best.layout.microBatches(globalBatch: training.globalBatch) ?? 1)
        add("training", [("iteration_seconds", step), ("seconds", run), ("device_bytes", memory.total)])
        if let peak = hardware.peak(for: .bf16) {
            add(
                "training",
                [
                    (
                        "mfu",
                        Utilization.ofModel(
                            operations: operations, seconds: run.amount, devices: training.devices, peak: peak)
                    )
                ])
        }
        let cost = RunCost(
            seconds: run, devices: training.devices, watts: hardware[.watts], intensity: training.carbonIntensity,
            price: training.price ?? hardware[.price])
        for (key, quantity) in [("energy", cost.energy), ("carbon", cost.carbon), ("money", cost.money)] {
            if let quantity { add("training", [(key, quantity)]) }
        }
        if cost.money == nil { notes.append("no price is known for \(hardware.name): give --price for money") }
        notes.append("best of \(layouts?.tried ?? 0) layouts: \(best.layout.text)")
    }

    private mutating func addScaling(parameters: Double, tokens: Double) {
        let laws = ParametricLaw.published
        let losses = laws.map { $0.loss(parameters: parameters, tokens: tokens).amount }.sorted()
        let penalties = laws.map { $0.overtrainingPenalty(parameters: parameters, tokens: tokens).amount }.sorted()
        let optimal = laws.map { $0.optimalTokens(parameters: parameters).amount }.sorted()
        func band(_ values: [Double], _ unit: Unit, _ name: String, _ text: String) -> Quantity {
            Quantity(
                .range(low: values[0], middle: values[1], high: values[2]), unit,
                Formula(
                    name, text, convention: "lowest, middle and highest of \(laws.map(\.name).joined(separator: ", "))",
                    source: "arXiv:2203.15556, arXiv:2404.10102"), [.init("N", parameters), .init("D", tokens)])
        }
        add(
            "scaling",
            [
                ("loss", band(losses, .nats, "scaling.loss", "E + A / N^α + B / D^β")),
                ("optimal_tokens", band(optimal, .tokens, "scaling.tokens_for_parameters", "C_opt(N) / (6·N)")),
                (
                    "overtraining_penalty",
                    band(
                        penalties, .percent, "scaling.overtraining_penalty",
                        "L(N, D) / L(N_opt, D_opt) − 1 at C = 6·N·D")
                ),
            ])
    }
}
