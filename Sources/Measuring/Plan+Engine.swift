internal import MartletLayers
internal import MartletModels
package import MartletPlanning
internal import MartletTensors

extension Plan {
    /// Adds what this engine does with the model on this machine: memory by its own parts and the longest context,
    /// which take no measurement; with `seconds`, also its speed, by timing layers without weights for about so long.
    package mutating func addEngine(timing seconds: Double? = nil) throws(PlanningError) {
        guard let architecture = model.architecture else {
            notes.append("Martlet does not run \(blueprint.modelType): its speed here is the roofline's")
            return
        }
        guard let types = engineTypes() else {
            notes.append("Martlet does not compute with \(request.weights): its speed here is the roofline's")
            return
        }
        let room = request.budget ?? Count(request.hardware?[.memory] ?? 0)
        let forecast = try engineMemory(architecture, types, tokens: workload.tokens)
        add("engine", [("peak_bytes", forecast.total)] + forecast.parts.map { ("\($0.name)_bytes", $0.quantity) })
        let fits = forecast.total.count ?? .max <= room
        answer.append(
            fits
                ? "fits: \(forecast.total.readable) of \(readableBytes(Double(room)))"
                : "does not fit \(readableBytes(Double(room))): \(forecast.total.readable) are needed\(remedy ?? "")")
        try addEngineContext(architecture, types, room: room)
        guard fits else { return }
        if let seconds { return try addEngineSpeed(architecture, types, seconds: seconds) }
        addExpectedSpeed()
    }

    /// The middle of the roofline's range, where the machine was measured before.
    private mutating func addExpectedSpeed() {
        for (name, tokens) in [("prefill", workload.tokens), ("forward", workload.tokens), ("decode", 1)] {
            guard let seconds = self["time", "\(name)_seconds"] else { continue }
            let rate = Double(tokens * workload.sequences) / seconds.amount
            answer.append("\(name): about \(twoDigits(rate)) tokens/s, expected by the limits of this machine")
        }
    }

    private func engineMemory(
        _ architecture: Architecture, _ types: @escaping StoredTypes, tokens: Int
    ) throws(PlanningError) -> EngineMemory {
        let isDecoder = blueprint.hasDecoder
        let source = blueprint.hasEncoder && isDecoder ? blueprint.sourceRows(workload) : 0
        let rows = blueprint.hasEncoder ? max(source, tokens) : min(tokens, 512)
        return try EngineMemory(
            architecture, types: types, tokens: isDecoder ? tokens : 0, source: isDecoder ? source : tokens,
            sequences: workload.sequences, rows: rows * workload.sequences)
    }

    /// The longest context whose run fits.
    private mutating func addEngineContext(
        _ architecture: Architecture, _ types: @escaping StoredTypes, room: Count
    ) throws(PlanningError) {
        guard blueprint.hasDecoder else { return }
        func fits(_ tokens: Int) throws(PlanningError) -> Bool {
            try engineMemory(architecture, types, tokens: tokens).total.count ?? .max <= room
        }
        guard try fits(1) else { return }
        var (low, high) = (1, 2)
        while high < 1 << 26, try fits(high) { (low, high) = (high, 2 * high) }
        while high - low > 1 {
            let middle = (low + high) / 2
            if try fits(middle) { low = middle } else { high = middle }
        }
        let longest = Quantity(
            Count(low), .tokens,
            Formula(
                "engine.longest_context", "the most tokens for which engine.memory ≤ budget",
                convention: "keys and values in f32", source: "bisection over engine.memory"),
            [.init("budget", room), .init("sequences", workload.sequences)])
        add("engine", [("longest_context", longest)])
        let limit = blueprint.context.map { " (the model was made for \(grouped(Count($0))))" } ?? ""
        answer.append("the longest context that fits: \(grouped(Count(low))) tokens\(limit)")
    }

    private mutating func addEngineSpeed(
        _ architecture: Architecture, _ types: @escaping StoredTypes, seconds: Double
    ) throws(PlanningError) {
        let device = Device(threads: request.threads)
        var run = EngineRun.Request(prompt: workload.tokens, sequences: workload.sequences)
        // The tokens that are written for timing need positions too.
        if let longest = blueprint.context {
            run.prompt = min(run.prompt, max(1, longest - EngineForecast.writtenTokens))
        }
        let timed = try EngineForecast.TimingRuns(architecture, types: types, run, on: device)
        addForecast(EngineForecast(timed, seconds: seconds), bandwidth: request.hardware?[.bandwidth])
        // One speed on a page: the one that was timed.
        remove("time") { $0.hasSuffix("tokens_per_second") || $0.hasSuffix("seconds") }
    }

    /// Seconds and tokens per second, with the parts they are the sum of.
    package mutating func addForecast(_ forecast: EngineForecast, bandwidth: Double?) {
        let name = blueprint.hasDecoder ? (blueprint.hasEncoder ? "encode" : "prefill") : "forward"
        let tokens = Double(forecast.request.prompt * forecast.request.sequences)
        let read = forecast.quantity("read", forecast.read, \.read, bandwidth: bandwidth)
        add("engine", [("\(name)_seconds", read), ("\(name)_tokens_per_second", rate(tokens, read))])
        answer.append("\(name): \(twoDigits(tokens / forecast.read)) tokens/s over \(forecast.request.prompt) tokens")
        guard let seconds = forecast.write else { return }
        let write = forecast.quantity("write", seconds, \.write, bandwidth: bandwidth)
        let sequences = Double(forecast.request.sequences)
        add("engine", [("decode_seconds", write), ("decode_tokens_per_second", rate(sequences, write))])
        answer.append(
            "decode: \(twoDigits(sequences / seconds)) tokens/s with \(grouped(Count(forecast.context))) tokens kept")
        notes.append(
            "speeds here: one layer of each form was timed on this machine with weights of zeros; see --explain")
    }

    private func rate(_ tokens: Double, _ seconds: Quantity) -> Quantity {
        Quantity(
            tokens / seconds.amount, .tokensPerSecond,
            Formula(
                "engine.tokens_per_second", "tokens / seconds", convention: "all sequences together",
                source: seconds.formula.name),
            [.init("tokens", tokens), .init("seconds", seconds.amount)])
    }

    /// The element type that the engine has for each parameter; nil where it has no product for the type.
    private func engineTypes() -> StoredTypes? {
        switch request.weights {
        case .uniform(let type):
            guard let type = ElementType(rawValue: type.rawValue) else { return nil }
            return { _ in type }
        case .stored(let types): return Plan.lookup(types)
        case .mixed(let type):
            guard let file = try? QuantizedFile(blueprint, fileType: type) else { return nil }
            let types = file.entries.flatMap { entry in entry.parameters.map { ($0, entry.type) } }
            return Plan.lookup(Dictionary(types) { first, _ in first })
        }
    }

    /// Types by the planner's names, in which the experts of a layer are one.
    private static func lookup(_ types: [String: StorageType]) -> StoredTypes? {
        var known: [String: ElementType] = [:]
        for (name, type) in types {
            guard let type = ElementType(rawValue: type.rawValue) else { return nil }
            known[name] = type
        }
        return { known[ParameterTensor.name(of: $0)] ?? .f32 }
    }
}

extension EngineForecast {
    /// The forecast as a quantity: ends + Σ count · layer + what attention takes longer, each with the share of the
    /// bandwidth that its weights reach.
    func quantity(
        _ name: String, _ seconds: Double, _ of: (EngineRun.Timing) -> Double?, bandwidth: Double?
    ) -> Quantity {
        var inputs: [Quantity.Input] = [.init("ends", readableSeconds(of(ends) ?? 0))]
        for part in parts {
            guard let own = of(part.timing) else { continue }
            var text = "\(part.count) × \(readableSeconds(own)) for \(readableBytes(Double(part.bytes)))"
            if let bandwidth, own > 0 {
                text += ", \(fixed(100 * Double(part.bytes) / own / bandwidth, 0)) % of the bandwidth"
            }
            inputs.append(.init(part.name, text))
        }
        inputs.append(.init("longer texts", readableSeconds(of(longer) ?? 0)))
        return Quantity(
            seconds, .seconds,
            Formula(
                "engine.\(name)", "ends + Σ count · layer + attention over longer texts",
                convention: "one layer of each form timed here, weights of zeros", source: "this machine"), inputs)
    }
}
