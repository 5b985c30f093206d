import ArgumentParser
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `martlet bench`: the speed of this model here, beside what the machine can do.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure how fast this model reads and writes here.",
        discussion: "Example: martlet bench -m path/to/model --prompt 512 --generate 128")

    @OptionGroup var model: ModelOptions

    @Option(help: "Tokens of the prompt.")
    var prompt = 512

    @Option(help: "Tokens to generate after it.")
    var generate = 128

    @Option(help: "Sequences at once.")
    var batch = 1

    @Option(help: "Repetitions after a warm-up; medians are shown.")
    var `repeat` = 3

    @Flag(help: "One JSON document.")
    var json = false

    func validate() throws {
        for (name, value) in [("prompt", prompt), ("generate", generate), ("batch", batch), ("repeat", `repeat`)]
        where !(1...1_000_000).contains(value) {
            throw ValidationError("--\(name) is \(value), but lies between 1 and 1000000.")
        }
    }

    func run() throws {
        let began = ContinuousClock.now
        let device = Device(threads: model.threads)
        let file = try ModelFile(path: try model.path())
        var packedBytes = 0
        let decoder = try file.decoder(on: device, packedBytes: &packedBytes)
        let test = try SpeedTest(decoder, on: device)
        _ = try test.run(prompt: 5, generate: 1, batch: 1, repeats: 0)
        let first = ContinuousClock.now - began
        let result = try test.run(prompt: prompt, generate: generate, batch: batch, repeats: `repeat`)
        // Measured last, so that it does not count as the model's memory.
        let peak = BenchCommand.peakResidentBytes()
        let report = Report(
            prefill: Double(prompt * batch) / BenchCommand.median(result.prefill),
            decode: Double(generate * batch) / BenchCommand.median(result.decode),
            limits: MachineLimits.measure(on: device),
            bytesPerStep: Double(packedBytes + cacheBytes(file.architecture)),
            operationsPerToken: 2 * Double(try file.inventory().total), batch: batch,
            firstToken: Double(first.components.seconds) + Double(first.components.attoseconds) * 1e-18,
            peakResidentBytes: peak, threads: device.threads)
        if json { Output.document(report.json) } else { Output.write(report.text) }
    }

    /// What the keys and values take at the middle of the generation, which is what a step reads on average.
    private func cacheBytes(_ architecture: Architecture) -> Int {
        guard case .decoder(let stack) = architecture.body else { return 0 }
        let positions = prompt + generate / 2
        return batch * stack.layers.reduce(0) { $0 + 2 * $1.attention.keyWidth * positions * 4 }
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

/// What was measured, and its share of what the machine can do.
private struct Report {
    let prefill: Double
    let decode: Double
    let limits: MachineLimits
    let bytesPerStep: Double
    /// 2 · parameters: the projections' multiply-adds, attention not counted.
    let operationsPerToken: Double
    let batch: Int
    let firstToken: Double
    let peakResidentBytes: Int
    let threads: Int

    /// Model bandwidth utilisation: bytes that decoding must read per second, of the measured bandwidth.
    private var mbu: Double { bytesPerStep * decode / Double(batch) / limits.bandwidth }
    /// Model FLOP utilisation of prefill, of the measured f32 peak.
    private var mfu: Double { operationsPerToken * prefill / limits.f32 }

    var json: JSON {
        [
            "prefill": ["tokens_per_second": .number(prefill)],
            "decode": ["tokens_per_second": .number(decode)],
            "machine": [
                "bandwidth_bytes_per_second": .number(limits.bandwidth), "peak_flops": .number(limits.f32),
                "peak_bf16_flops": .number(limits.bf16), "peak_int8_operations": .number(limits.int8),
                "threads": .integer(threads),
            ],
            "mbu": .number(mbu),
            "mfu": .number(mfu),
            "first_token_seconds": .number(firstToken),
            "peak_rss_bytes": .integer(peakResidentBytes),
        ]
    }

    var text: String {
        func tenth(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        return """
            prefill      \(tenth(prefill)) tokens/s, \(tenth(mfu * 100)) % of the f32 peak (\(tenth(limits.f32 / 1e9)) GFLOP/s)
            decode       \(tenth(decode)) tokens/s, \(tenth(mbu * 100)) % of the bandwidth (\(tenth(limits.bandwidth / 1e9)) GB/s)
            first token  \(tenth(firstToken * 1000)) ms after the start, loading included
            memory       \(tenth(Double(peakResidentBytes) / 1e6)) MB at most
            threads      \(threads)

            """
    }
}
