import MartletGeneration
import MartletJSON
import MartletModels
import MartletPlanning
import MartletTensors

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A prediction beside what this machine measured, term by term.
struct PlanMeasurement {
    private struct Term {
        let name: String
        let unit: String
        let predicted: Double
        let measured: Double
    }

    private let terms: [Term]
    private static let generated = 32

    /// Runs the model at `path` with the request's context and batch. The engine keeps keys and values in 32 bits.
    init(path: String, _ described: DescribedModel, request: PlanRequest) throws {
        let longest = described.blueprint.context ?? 4096
        let prompt = max(1, min(request.context ?? 256, longest - PlanMeasurement.generated))
        let before = PlanMeasurement.peakResidentBytes()
        let device = Device(threads: nil)
        let file = try ModelFile(path: path)
        var packedBytes = 0
        let decoder = try file.decoder(on: device, packedBytes: &packedBytes)
        let result = try SpeedTest(decoder, on: device).run(
            prompt: prompt, generate: PlanMeasurement.generated, batch: request.sequences, repeats: 3)
        let peak = PlanMeasurement.peakResidentBytes()
        let here = Hardware.thisMachine()
        let bandwidth = try here.require(.bandwidth)

        let cache = CacheLayout(type: .f32)
        let tokens = prompt + PlanMeasurement.generated
        let workload = Workload(sequences: request.sequences, tokens: tokens)
        let weights = WeightStorage.uniform(.f32)
        let memory = try InferenceMemory(
            described.blueprint, weights: weights, cache: cache, workload: workload,
            rowsAtOnce: min(prompt * request.sequences, 512), program: Count(before))
        let prefill = try Roofline.prefill(
            described.blueprint, weights: weights, cache: cache,
            workload: Workload(sequences: request.sequences, tokens: prompt),
            peak: try here.require(.singlePeak), bandwidth: bandwidth)
        let decode = try Roofline.decode(
            described.blueprint, weights: weights, cache: cache, context: prompt + PlanMeasurement.generated / 2,
            sequences: request.sequences, peak: try here.require(.singlePeak), bandwidth: bandwidth)
        func rate(_ tokens: Int, _ seconds: [Double]) -> Double {
            Double(tokens * request.sequences) / seconds.sorted()[seconds.count / 2]
        }
        terms = [
            Term(
                name: "weights read per step", unit: "bytes",
                predicted: try described.blueprint.decodeBytes(weights, sequences: request.sequences).amount,
                measured: Double(packedBytes)),
            Term(name: "peak memory", unit: "bytes", predicted: memory.total.amount, measured: Double(peak)),
            Term(
                name: "prefill, at most", unit: "tokens/s",
                predicted: Double(prompt * request.sequences) / prefill.least.amount,
                measured: rate(prompt, result.prefill)),
            Term(
                name: "decode, at most", unit: "tokens/s", predicted: Double(request.sequences) / decode.least.amount,
                measured: rate(PlanMeasurement.generated, result.decode)),
        ]
    }

    func write(json: Bool) {
        if json {
            return Output.document(
                .array(
                    terms.map {
                        [
                            "term": .string($0.name), "unit": .string($0.unit), "predicted": .number($0.predicted),
                            "measured": .number($0.measured), "ratio": .number($0.measured / $0.predicted),
                        ]
                    }))
        }
        for term in terms {
            let percent = (1000 * term.measured / term.predicted).rounded() / 10
            Output.write(
                "\(term.name): predicted \(term.predicted.rounded()), measured \(term.measured.rounded()) \(term.unit), \(percent) %\n"
            )
        }
    }

    private static func peakResidentBytes() -> Int {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
