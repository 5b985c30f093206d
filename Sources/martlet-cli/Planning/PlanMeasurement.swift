import Martlet
import MartletJSON
import MartletMeasuring
import MartletModels
import MartletPlanning
import MartletPlatform
import MartletTensors
import MartletTokenizers

/// A prediction beside what this machine measured, term by term.
struct PlanMeasurement {
    private struct Term {
        let name: String
        let predicted: Quantity
        let measured: Double
        let note: String
    }

    private var terms: [Term] = []
    private var assumptions: [String] = []
    private static let generated = 32

    /// Runs the model at `path` with the request's context and batch, in turns with the layers that the prediction is
    /// made from, so that other work on the machine slows both sides.
    init(path: String, _ described: DescribedModel, request: PlanRequest) throws {
        let file = try ModelFile(path: path)
        let checkpoint = try file.checkpoint()
        let types: StoredTypes = { checkpoint.type($0.name) ?? .f32 }
        let longest = described.blueprint.context ?? 4096
        var run = EngineRun.Request(prompt: 0, sequences: request.sequences)
        run.prompt = max(1, min(request.context ?? 256, longest - PlanMeasurement.generated))
        try addMemory(file, types, run, threads: request.threads)

        let device = Device(threads: request.threads)
        let model = EngineRun([try file.model(on: device)], run, on: device)
        let timed = try EngineForecast.TimingRuns(file.architecture, types: types, run, on: device)
        let timings = EngineRun.compare([model] + timed.runs, seconds: 2, tokens: PlanMeasurement.generated)
        let forecast = EngineForecast(timed, Array(timings.dropFirst()))
        try addSpeed(described, forecast, timings[0], request, packedBytes: forecast.packedBytes)
    }

    private mutating func addSpeed(
        _ described: DescribedModel, _ forecast: EngineForecast, _ measured: EngineRun.Timing, _ request: PlanRequest,
        packedBytes: Int
    ) throws {
        // Measured last: what it reads would count as this process's memory, and a child inherits that high mark.
        let here = Hardware.thisMachine(KeptLimits.measure(threads: request.threads))
        var asked = PlanRequest()
        asked.context = forecast.request.prompt
        asked.weights = described.storedTypes.map { .stored($0) } ?? .uniform(.f32)
        var plan = try Plan(described, asked)
        plan.addForecast(forecast, bandwidth: here[.bandwidth])
        let tokens = Double(forecast.request.prompt * forecast.request.sequences)
        for name in ["prefill", "encode", "forward"] {
            guard let predicted = plan["engine", "\(name)_tokens_per_second"] else { continue }
            terms.append(
                Term(name: name, predicted: predicted, measured: tokens / measured.read, note: "\(Int(tokens)) tokens"))
        }
        if let predicted = plan["engine", "decode_tokens_per_second"], let write = measured.write {
            let note = "\(forecast.context) tokens kept"
            terms.append(
                Term(
                    name: "decode", predicted: predicted, measured: Double(forecast.request.sequences) / write,
                    note: note))
        }
        for (key, quantity) in plan.sections.first(where: { $0.name == "engine" })?.entries ?? []
        where key.hasSuffix("seconds") {
            assumptions.append("\(key): \(quantity.derivation)")
        }
        for field in [Hardware.Field.bandwidth, .singlePeak, .halfPeak, .integerPeak] {
            if let figure = here[field] { assumptions.append("\(field.rawValue) measured: \(shortened(figure))") }
        }
    }

    // MARK: - Memory

    private mutating func addMemory(
        _ file: ModelFile, _ types: @escaping StoredTypes, _ run: EngineRun.Request, threads: Int?
    ) throws {
        guard let task = try PlanTask(file, tokens: run.prompt) else {
            assumptions.append("memory not measured: there is no tokenizer here for a run of its own")
            return
        }
        let predicted = try EngineMemory(
            file.architecture, types: types, tokens: task.kept, source: task.read, rows: task.rows,
            distinct: task.distinct, tokenizerFile: file.path.hasSuffix(".gguf") ? .gguf : .json)
        terms.append(
            Term(
                name: "peak memory", predicted: predicted.total, measured: Double(try task.peakResidentBytes()),
                note: "martlet \(task.verb), \(task.read) tokens read"))
        for (name, quantity) in predicted.parts + [("loading", predicted.loading)] {
            assumptions.append("\(name): \(quantity.derivation)")
        }
    }

    // MARK: - Output

    func write(_ form: ResultForm) {
        if form.isJSON {
            return form.write([
                "terms": .array(
                    terms.map {
                        [
                            "term": .string($0.name), "unit": .string($0.predicted.unit.rawValue),
                            "predicted": .number($0.predicted.amount), "measured": .number($0.measured),
                            "ratio": .number($0.measured / $0.predicted.amount), "of": .string($0.note),
                            "derivation": .string($0.predicted.derivation),
                        ]
                    }),
                "assumptions": .array(assumptions.map { .string($0) }),
            ])
        }
        for term in terms {
            let measured = Quantity(term.measured, term.predicted.unit, term.predicted.formula)
            let percent = fixed(100 * term.measured / term.predicted.amount, 1)
            Output.write(
                "\(term.name): predicted \(term.predicted.readable), measured \(measured.readable), \(percent) % (\(term.note))\n"
            )
        }
        Output.write("\n" + assumptions.map { "  \($0)\n" }.joined())
    }
}
