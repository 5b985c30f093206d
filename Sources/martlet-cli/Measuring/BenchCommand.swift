import ArgumentParser
import Martlet
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletMeasuring
import MartletModels
import MartletPlatform
import MartletServing
import MartletTensors

/// `martlet bench`: the speed of this model here, beside what the machine can do.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure how fast this model reads and writes here.",
        discussion: """
            Example: martlet bench -m path/to/model --prompt 512 --generate 128

            A decoder reads --prompt tokens and generates --generate more. An encoder reads --batch texts of --prompt \
            tokens. An encoder-decoder reads such sources and writes exactly --generate tokens for each with --beams \
            beams; tokens per second count each text once, not its beams. With --streams 1,8,32 a decoder's engine \
            serves this many requests at once, each with --prompt tokens read and --generate written; --prefix and \
            --beside measure what requests gain and lose by others.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var ranks: RankOptions

    @Option(help: "The tokens of the prompt.")
    var prompt = 512

    @Option(help: "The tokens to generate.")
    var generate = 128

    @Option(help: "The number of sequences at once.")
    var batch = 1

    @Option(help: "Decoders: the number of concurrent requests to the engine; several numbers separated by commas.")
    var streams: String?

    @Option(help: "With --streams: a draft model, smaller and with the same vocabulary.")
    var draft: String?

    @Flag(help: "With --streams: guess what follows by prompt look-up.")
    var guess = false

    @Option(
        help:
            "With --streams: time the first token of a request that shares its first this many tokens with an earlier one."
    )
    var prefix: Int?

    @Option(help: "With --streams: time the tokens of four texts while a prompt of this many tokens is read.")
    var beside: Int?

    @Flag(help: "With --streams: what the planner predicts of each number of requests, measured in turns with it.")
    var predict = false

    @Option(help: "With --streams: the sampling temperature; 0 takes the most probable token.")
    var temperature: Float = 0

    @Option(help: "With --streams: sample from the k most probable tokens; 0 keeps all.")
    var topK = 0

    @Option(help: "With --streams: sample from the most probable tokens that together have this probability.")
    var topP: Float = 1

    @Option(help: "Encoder-decoders: the number of beams.")
    var beams = 4

    @Option(help: "The number of repetitions after a warm-up; medians are shown.")
    var `repeat` = 3

    @Option(help: "The element type of the KV cache.")
    var cache = CacheType.f32

    @Option(help: "Quantize the matrices on loading: q8_0 multiplies weights and activations as int8.")
    var weights: TaskInput.MatrixType?

    @OptionGroup var form: ResultForm

    func validate() throws {
        for (name, value) in [
            ("prompt", prompt), ("generate", generate), ("batch", batch), ("beams", beams), ("repeat", `repeat`),
            ("prefix", prefix ?? 1), ("beside", beside ?? 1),
        ]
        where !(1...1_000_000).contains(value) {
            throw ValidationError("--\(name) is \(value), but must be between 1 and 1000000.")
        }
        if streams != nil, batch != 1 || beams != 4 {
            throw ValidationError("--batch and --beams are not for --streams, which say how many there are at once.")
        }
        if try counts().isEmpty && (draft != nil || prefix != nil || beside != nil || predict || guess) {
            throw ValidationError("--draft, --guess, --prefix, --beside and --predict are for --streams.")
        }
    }

    /// The numbers of `--streams`.
    func counts() throws -> [Int] {
        try (streams?.split(separator: ",", omittingEmptySubsequences: false) ?? []).map { part in
            guard let count = Int(part), (1...1_024).contains(count) else {
                throw ValidationError("--streams holds \"\(part)\", but takes numbers from 1 to 1024, as in 1,8,32.")
            }
            return count
        }
    }

    /// Waits for what a first start of a model does beside its work.
    static func awaitQuiet() { PackedCache.finishWriting(within: .seconds(60)) }

    mutating func run() async throws {
        let command = self
        try await Ranks.lead(ranks, threads: model.threads, command.file) {
            var command = command
            try await command.measure()
        }
    }

    private func file() throws -> ModelFile { try TaskInput.modelFile(model, weights) }

    private mutating func measure() async throws {
        let began = ContinuousClock.now
        let device = Device(threads: model.threads)
        let file = try file()
        clamp(to: file.architecture)
        var packed = PackedWeights()
        let model = try file.model(on: device, weights: &packed)
        guard case .decoder(let decoder) = model else { return try run(model, packed, file, device) }
        if streams != nil { return try await serve(decoder, of: file, device) }
        let test = try DecoderSpeedTest(decoder, on: device)
        _ = try test.run(prompt: 5, generate: 1, batch: 1, repeats: 0)
        let first = ContinuousClock.now - began
        BenchCommand.awaitQuiet()
        let result = try test.run(
            prompt: prompt, generate: generate, batch: batch, repeats: `repeat`, cache: cache.elementType)
        // Measured last, so that it does not count as the model's memory.
        let peak = BenchCommand.peakResidentBytes()
        let report = SpeedReport(
            prefill: Double(prompt * batch) / result.prefill.median,
            decode: Double(generate * batch) / result.decode.median, prompt: prompt,
            limits: MachineLimits.measure(on: device),
            bytesPerStep: Double(packed.bytes) + cacheBytes(file.architecture), weights: packed, batch: batch,
            firstToken: first.seconds,
            peakResidentBytes: peak, threads: device.threads)
        if form.isJSON { form.write(report.json) } else { Output.write(report.text) }
    }

    /// Shortens what is read and written to what the model's context holds, and says so.
    private mutating func clamp(to architecture: Architecture) {
        guard let context = architecture.context else { return }
        let writes: Bool
        if case .decoder = architecture.body { writes = true } else { writes = false }
        let before = (prompt, generate)
        if writes {
            guard prompt + generate > context, context > 1 else { return }
            generate = min(generate, max(1, context / 4))
            prompt = min(prompt, context - generate)
        } else {
            (prompt, generate) = (min(prompt, context), min(generate, context))
        }
        if before != (prompt, generate) {
            Output.note(
                "martlet: the model's context is \(context): measured with --prompt \(prompt) --generate \(generate)")
        }
    }

    /// An encoder reads `batch` texts of `prompt` tokens; an encoder-decoder then writes `generate` tokens about each.
    private func run(_ model: Model, _ packed: PackedWeights, _ file: ModelFile, _ device: Device) throws {
        BenchCommand.awaitQuiet()
        switch model {
        case .decoder: return
        case .encoder(let encoder):
            let seconds = try EncoderSpeedTest(encoder, on: device).run(
                tokens: prompt, batch: batch, repeats: `repeat`)
            let peak = BenchCommand.peakResidentBytes()
            let report = SpeedReport(
                prefill: Double(prompt * batch) / seconds.median, decode: nil, prompt: prompt,
                limits: MachineLimits.measure(on: device), bytesPerStep: Double(packed.bytes), weights: packed,
                batch: batch, firstToken: nil, peakResidentBytes: peak, threads: device.threads)
            if form.isJSON { form.write(report.json) } else { Output.write(report.text) }
        case .encoderDecoder(let model):
            guard file.architecture.writes else {
                throw UsageError("bench measures encoder-decoders that write; \(file.path) classifies")
            }
            let result = try WriterSpeedTest(model, on: device).run(
                source: prompt, target: generate, batch: batch, beams: beams, repeats: `repeat`)
            let writing = zip(result.total, result.reading).map { $0 - $1 }
            let report = WriterReport(
                prefill: Double(prompt * batch) / result.reading.median,
                decode: Double(generate * batch) / writing.median,
                total: Double(generate * batch) / result.total.median, beams: beams,
                peakResidentBytes: BenchCommand.peakResidentBytes(), threads: device.threads)
            if form.isJSON { form.write(report.json) } else { Output.write(report.text) }
        }
    }

    /// The bytes of the KV cache at the middle of the generation, which is what a step reads on average.
    private func cacheBytes(_ architecture: Architecture) -> Double {
        guard case .decoder(let stack) = architecture.body else { return 0 }
        let elements =
            batch
            * stack.layers.map(\.attention).reduce(0) { sum, form in
                var positions = prompt + generate / 2
                if case .window(let size) = form.reach { positions = min(positions, size) }
                return sum + form.keyHeads * (form.headWidth + form.valueWidth) * positions
            }
        let type = cache.elementType
        return Double(elements) * Double(type.block.bytes) / Double(type.block.elements)
    }

    private static func peakResidentBytes() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
