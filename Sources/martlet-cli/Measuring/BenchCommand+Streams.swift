import Martlet
import MartletGeneration
import MartletLayers
import MartletMeasuring
import MartletModels
import MartletServing
import MartletTensors

// Requests to the engine, several at once.

extension BenchCommand {
    /// Texts that are written while a prompt is read.
    private static let textsBeside = 4

    /// Whole requests through the engine, as many at once as `--streams` says.
    func serve(_ decoder: Decoder, of file: ModelFile, _ device: Device) async throws {
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
            report.prefix = (prefix, runs.map(\.alone).median, runs.map(\.shared).median)
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
                decode: Double(count) / seconds.median,
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
}
