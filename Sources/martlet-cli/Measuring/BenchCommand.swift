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
    private func counts() throws -> [Int] {
        try (streams?.split(separator: ",", omittingEmptySubsequences: false) ?? []).map { part in
            guard let count = Int(part), (1...1_024).contains(count) else {
                throw ValidationError("--streams holds \"\(part)\", but takes numbers from 1 to 1024, as in 1,8,32.")
            }
            return count
        }
    }

    /// Texts that are written while a prompt is read.
    private static let textsBeside = 4

    /// Waits for what a first start of a model does beside its work.
    private static func awaitQuiet() { PackedCache.finishWriting(within: .seconds(60)) }

    /// Whole requests through the engine, as many at once as `--streams` says.
    private func serve(_ decoder: Decoder, of file: ModelFile, _ device: Device) async throws {
        BenchCommand.awaitQuiet()
        let counts = try counts()
        var options = EngineOptions()
        options.maximumSequences = max(counts.max() ?? 1, beside == nil ? 1 : BenchCommand.textsBeside + 1)
        (options.cache, options.waitingRequests, options.waitingRequestsPerTenant) = (cache.elementType, 1_024, 1_024)
        options.waitingTokens = .max
        let draft = try draft.map { try DraftFile($0, for: file).file.decoder(on: device) }
        var results: [EngineSpeedTest.Result] = []
        var predictions: [StreamsReport.Prediction] = []
        for count in counts {
            let (result, prediction) = try await measure(count, of: file, device) { () throws(GenerationError) in
                try EngineSpeedTest(decoder, options, draft: draft, on: device)
            }
            results.append(result)
            if let prediction { predictions.append(prediction) }
        }
        var report = StreamsReport(results: results, predictions: predictions, threads: device.threads)
        guard prefix != nil || beside != nil else { return write(report) }
        let test = try EngineSpeedTest(decoder, options, draft: draft, on: device)
        _ = try await test.run(streams: 1, prompt: min(prompt, 64), generate: 4, sampling: .greedy)
        if let prefix {
            var runs: [(alone: Double, shared: Double)] = []
            for number in 0..<`repeat` { runs.append(try await test.firstTokens(prefix: prefix, number: number)) }
            report.prefix = (prefix, BenchCommand.median(runs.map(\.alone)), BenchCommand.median(runs.map(\.shared)))
        }
        if let beside {
            let found = try await test.gaps(of: BenchCommand.textsBeside, beside: beside)
            report.beside = (beside, found.gaps, found.reading, options.stepMilliseconds)
        }
        write(report)
    }

    private func write(_ report: StreamsReport) {
        if form.isJSON { form.write(report.json) } else { Output.write(report.text) }
    }

    /// `count` requests at once, the median of so many runs; and in turns with them what is predicted, where that is
    /// asked for.
    private func measure(
        _ count: Int, of file: ModelFile, _ device: Device, _ makeTest: () throws(GenerationError) -> EngineSpeedTest
    ) async throws -> (EngineSpeedTest.Result, StreamsReport.Prediction?) {
        let test = try makeTest()
        let sampling = Sampling(temperature: temperature, topK: topK, topP: topP)
        _ = try await test.run(streams: 1, prompt: min(prompt, 64), generate: 4, sampling: sampling)
        let timed = try predict ? timing(count, of: file, device) : nil
        var (runs, seconds): ([EngineSpeedTest.Result], [Double]) = ([], [])
        for _ in 0..<`repeat` {
            runs.append(
                try await test.run(
                    streams: count, prompt: prompt, generate: generate, sampling: sampling, guesses: guess))
            if let timed { seconds.append(EngineForecast(timed, seconds: 2).write ?? 0) }
        }
        runs.sort { $0.seconds < $1.seconds }
        let prediction = timed.map { _ in
            StreamsReport.Prediction(
                decode: Double(count) / BenchCommand.median(seconds),
                cacheBytes: Int(
                    clamping: EngineMemory.cacheBytes(
                        file.architecture, tokens: prompt + generate - 1, sequences: count)))
        }
        return (runs[runs.count / 2], prediction)
    }

    /// Layers without weights that write for `count` requests in the middle of their texts.
    private func timing(_ count: Int, of file: ModelFile, _ device: Device) throws -> EngineForecast.TimingRuns {
        let checkpoint = try file.checkpoint()
        return try EngineForecast.TimingRuns(
            file.architecture, types: { checkpoint.type($0.name) ?? .f32 },
            EngineRun.Request(prompt: max(1, prompt + generate / 2 - 16), sequences: count), on: device)
    }

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
        let report = Report(
            prefill: Double(prompt * batch) / BenchCommand.median(result.prefill),
            decode: Double(generate * batch) / BenchCommand.median(result.decode), prompt: prompt,
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
            let report = Report(
                prefill: Double(prompt * batch) / BenchCommand.median(seconds), decode: nil, prompt: prompt,
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
                prefill: Double(prompt * batch) / BenchCommand.median(result.reading),
                decode: Double(generate * batch) / BenchCommand.median(writing),
                total: Double(generate * batch) / BenchCommand.median(result.total), beams: beams,
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
        return Double(elements) * Double(type.block.bytes) / Double(type.blockElements)
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
    }

    private static func peakResidentBytes() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}

/// The measurements of an encoder-decoder.
private struct WriterReport {
    /// Source tokens per second.
    let prefill: Double
    /// Target tokens per second, without and with reading.
    let decode, total: Double
    let beams: Int
    let peakResidentBytes: Int
    let threads: Int

    var json: JSON {
        [
            "prefill": ["tokens_per_second": .number(prefill)], "decode": ["tokens_per_second": .number(decode)],
            "total": ["tokens_per_second": .number(total)], "beams": .integer(beams),
            "peak_rss_bytes": .integer(peakResidentBytes), "threads": .integer(threads),
        ]
    }

    var text: String {
        func tenth(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        return """
            read         \(tenth(prefill)) source tokens/s
            write        \(tenth(decode)) tokens/s, \(tenth(total)) with reading; \(beams) beams
            memory       \(tenth(Double(peakResidentBytes) / 1e6)) MB at most
            threads      \(threads)

            """
    }
}

/// The measurements, and their shares of what the machine can do.
private struct Report {
    let prefill: Double
    /// The tokens per second of decoding; nil for encoders, which do not continue.
    let decode: Double?
    let prompt: Int
    let limits: MachineLimits
    let bytesPerStep: Double
    let weights: PackedWeights
    let batch: Int
    let firstToken: Double?
    let peakResidentBytes: Int
    let threads: Int

    /// Model bandwidth utilisation: bytes that decoding must read per second, of the measured bandwidth.
    private func mbu(_ decode: Double) -> Double { bytesPerStep * decode / Double(batch) / limits.bandwidth }
    /// Model FLOP utilisation of prefill: the time that the projections' multiply-adds take at the measured peaks of
    /// their types, of the time they took. Attention and the last row's logits are not counted.
    private var mfu: Double {
        let (integer, float) = (Double(weights.quantizedElements), Double(weights.plainElements))
        return 2 * (integer / limits.int8 + float / limits.f32) * prefill
    }
    /// The peaks that apply, by name.
    private var peaks: String {
        weights.plainElements == 0 ? "int8" : weights.quantizedElements == 0 ? "f32" : "int8 and f32"
    }

    private var machine: JSON {
        [
            "bandwidth_bytes_per_second": .number(limits.bandwidth), "peak_flops": .number(limits.f32),
            "peak_bf16_flops": .number(limits.bf16), "peak_int8_operations": .number(limits.int8),
            "threads": .integer(threads),
        ]
    }

    var json: JSON {
        guard let decode, let firstToken else {
            return [
                "encode": [
                    "tokens_per_second": .number(prefill), "sequences_per_second": .number(prefill / Double(prompt)),
                ],
                "machine": machine, "mfu": .number(mfu), "mfu_peak": .string(peaks),
                "peak_rss_bytes": .integer(peakResidentBytes),
            ]
        }
        return [
            "prefill": ["tokens_per_second": .number(prefill)],
            "decode": ["tokens_per_second": .number(decode)],
            "machine": machine,
            "mbu": .number(mbu(decode)),
            "mfu": .number(mfu),
            "mfu_peak": .string(peaks),
            "first_token_seconds": .number(firstToken),
            "peak_rss_bytes": .integer(peakResidentBytes),
        ]
    }

    var text: String {
        func tenth(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        let limit = "(f32 \(tenth(limits.f32 / 1e9)), int8 \(tenth(limits.int8 / 1e9)) G operations/s)"
        var lines = ["\(tenth(prefill)) tokens/s, \(tenth(mfu * 100)) % of the \(peaks) peak \(limit)"]
        if let decode, let firstToken {
            lines[0] = "prefill      " + lines[0]
            let share = "\(tenth(mbu(decode) * 100)) % of the bandwidth (\(tenth(limits.bandwidth / 1e9)) GB/s)"
            lines.append("decode       \(tenth(decode)) tokens/s, \(share)")
            lines.append("first token  \(tenth(firstToken * 1000)) ms after the start, loading included")
        } else {
            lines[0] = "encode       \(tenth(prefill / Double(prompt))) texts/s, " + lines[0]
        }
        lines.append("memory       \(tenth(Double(peakResidentBytes) / 1e6)) MB at most")
        lines.append("threads      \(threads)")
        return lines.joined(separator: "\n") + "\n"
    }
}
