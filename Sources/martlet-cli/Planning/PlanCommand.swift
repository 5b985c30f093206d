import ArgumentParser
import Martlet
import MartletJSON
import MartletMeasuring
import MartletPlanning

/// `martlet plan`: what a model takes, before anything is run.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Parameters, bytes, FLOPs, time, energy, money and layouts of a model, with every formula.",
        discussion: """
            Example: martlet plan path/to/model --context 8192
                     martlet plan llama-3-8b --hardware H100 --batch 16 --json
                     martlet plan gpt3-175b --hardware A100 --devices 1024 --train-tokens 3e11
                     martlet plan --compute 5.88e23
            """)

    @OptionGroup var place: ModelPlace
    private var model: String? { place.path }

    @Option(help: "A published model by name, which the argument takes too; --list shows the names.")
    var preset: String?

    @Option(help: "The tokens of one sequence (default: the model's context, at most 4,096).")
    var context: Int?

    @Option(help: "The number of sequences at once.")
    var batch = 1

    @Option(help: "The tokens of one source of an encoder-decoder (default: the context).")
    var source: Int?

    @Option(
        help: """
            The type of the weights: one of llama.cpp's file types, Q4_K_M, Q8_0, …, or f8, nf4, … for every matrix \
            (default: as in the file, or bf16).
            """)
    var weights: String?

    @Option(help: "The element type of the KV cache: f32, f16, bf16, q8_0, q4_0, ….")
    var cache = "f16"

    @Option(help: "The tokens of a block of the KV cache.")
    var cacheBlock = 1

    @Option(help: "A device by name, or none (default: this machine).")
    var hardware: String?

    @Flag(
        help: "Measure this machine again and time layers of the model here; otherwise the last measurements are used.")
    var refresh = false

    @Option(help: "Compute threads of this machine (default: one per physical core).")
    var threads: Int?

    @Option(help: "A file with more devices, in the form of hardware.json.")
    var hardwareFile: String?

    @Option(help: "The memory that everything must fit in, as 24GB or 16GiB (default: the device's).")
    var memory: String?

    @OptionGroup(title: "Training") var training: PlanTrainingOptions

    @Option(help: "Speculative decoding: the probability that a guessed token is accepted.")
    var acceptance: Double?

    @Option(help: "Speculative decoding: the number of tokens guessed at a time.")
    var guesses = 4

    @Option(help: "Speculative decoding: the time of a draft model's step over the model's.")
    var draftCost = 0.05

    @Option(help: "Show the best sizes for this many FLOPs by every scaling law; needs no model.")
    var compute: Double?

    @Option(help: "Fit a scaling law to runs in a CSV of parameters, tokens and loss; needs no model.")
    var runs: String?

    @Flag(help: "Show the derivation of every number.")
    var explain = false

    @Flag(help: "Show every tensor with shape, parameters, type and bytes.")
    var tensors = false

    @Flag(help: "Run the model and compare the predictions with measurements.")
    var measure = false

    @Flag(help: "List the names of presets, devices and model types.")
    var list = false

    @Option(help: "Also write a report with charts, as one HTML file.")
    var html: String?

    @OptionGroup var outputs: OutputOptions

    @OptionGroup var form: ResultForm

    func validate() throws {
        for (name, value) in [("context", context), ("batch", batch), ("source", source), ("cache-block", cacheBlock)]
            + [("threads", threads)]
        {
            if let value, !(1...1 << 30).contains(value) {
                throw ValidationError("--\(name) is \(value), but must be between 1 and \(1 << 30).")
            }
        }
        if let acceptance, !(0...1).contains(acceptance) { throw ValidationError("--acceptance lies between 0 and 1.") }
        guard (1...1_000).contains(guesses) else { throw ValidationError("--guesses lies between 1 and 1000.") }
        guard (0...1).contains(draftCost) else { throw ValidationError("--draft-cost lies between 0 and 1.") }
        if let compute, !(compute > 0 && compute.isFinite) { throw ValidationError("--compute must be positive.") }
        let others = [("--compute", compute != nil), ("--runs", runs != nil)].filter(\.1).map(\.0)
        if others.count > 1 || !others.isEmpty && (model != nil || preset != nil) {
            throw ValidationError("\(others.joined(separator: " and ")) needs no model: give one of them alone.")
        }
        if model != nil && preset != nil { throw ValidationError("Give a model or --preset, not both.") }
    }

    func run() throws {
        if list { return try writeNames() }
        try outputs.check(html, inputs: [model, hardwareFile, runs])
        if let compute {
            let answers = PlanScaling.answers(compute: compute)
            if let html { try PlanFile.write(PlanScaling.page(answers, compute: compute), to: html) }
            return write(answers, heading: "best for \(compute) operations")
        }
        if let runs { return try PlanScaling.fit(path: runs, form) }
        let described = try describe()
        var request = try request(described)
        if measure {
            return try PlanMeasurement(path: try modelPath(), described, request: request).write(form)
        }
        request.hardware = try device()
        var plan = try Plan(described, request)
        if request.isHere { try plan.addEngine(timing: refresh ? 1 : nil) }
        if let html { try PlanFile.write(plan.page(reportName, PlanFile.facts), to: html) }
        if tensors { return Output.write(plan.tensorTable) }
        if form.isJSON { form.write(plan.json) } else { Output.write(plan.text(explained: explain)) }
    }

    // MARK: - What is asked

    private func request(_ model: DescribedModel) throws -> PlanRequest {
        var request = PlanRequest()
        guard let type = StorageType(named: cache) else {
            throw UsageError(
                "--cache \(cache) is not known; known are \(StorageType.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        (request.context, request.sequences, request.sourceTokens) = (context, batch, source)
        request.threads = threads
        (request.weights, request.cache) = (try storage(model), CacheLayout(type: type, block: cacheBlock))
        request.isHere = hardware == nil && !measure
        request.budget = try memory.map(PlanFile.bytes)
        request.speculation = acceptance.map { Speculation(acceptance: $0, guesses: guesses, costRatio: draftCost) }
        request.training = try training.request()
        return request
    }

    private func storage(_ model: DescribedModel) throws -> WeightStorage {
        guard let weights else { return model.storedTypes.map { .stored($0) } ?? .uniform(.bf16) }
        guard let storage = WeightStorage(named: weights) else {
            throw UsageError(
                "--weights \(weights) is not known; known are \(WeightStorage.names.joined(separator: ", "))")
        }
        return storage
    }

    private func device() throws -> Hardware? {
        if hardware == "none" { return nil }
        var table = try HardwareTable.standard()
        if let hardwareFile { table.add(try HardwareTable(reading: try Input.bytes(hardwareFile), name: hardwareFile)) }
        guard let hardware else {
            let kept = refresh ? KeptLimits.measure(threads: threads) : KeptLimits.read(threads: threads)
            return Hardware.thisMachine(kept)
        }
        return try table.device(named: hardware)
    }

    private func modelPath() throws -> String {
        try model.map { try ModelLocation.path(of: $0) } ?? EmbeddedModel.path()
    }

    /// The name of the model in the report.
    private var reportName: String {
        preset ?? model.flatMap { $0.split(separator: "/").last.map(String.init) } ?? EmbeddedModel.name
    }

    private func describe() throws -> DescribedModel {
        if let preset { return try Preset.model(named: preset) }
        if let model, !PlanFile.exists(model), let found = try? Preset.model(named: model) { return found }
        return try PlanFile.model(at: modelPath())
    }

    // MARK: - Short answers

    private func writeNames() throws {
        let lists: [(String, [String])] = [
            ("presets", try Preset.names()), ("hardware", try HardwareTable.standard().devices.map(\.name)),
            ("model_types", DescribedModel.knownModelTypes),
        ]
        if form.isJSON {
            var object = JSONObject()
            for (name, values) in lists { object[name] = .array(values.map { .string($0) }) }
            return form.write(.object(object))
        }
        for (name, values) in lists { Output.write("\(name): \(values.joined(separator: ", "))\n") }
    }

    private func write(_ answers: [(name: String, quantity: Quantity)], heading: String) {
        if form.isJSON {
            var object = JSONObject()
            for answer in answers { object[answer.name] = answer.quantity.json }
            return form.write(.object(object))
        }
        Output.write(heading + "\n")
        for answer in answers {
            Output.write("  \(answer.name): \(answer.quantity.readable)\n")
            if explain { Output.write("    \(answer.quantity.derivation)\n") }
        }
    }
}
