import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// Beam searches: the beams of all callers are rows of common steps, and what is found is what a search alone finds.
@Suite struct EngineSearchTests {
    private static func options(_ number: Int) -> BeamSearch.Options {
        let beams = [1, 4, 2, 3][number % 4]
        var options = BeamSearch.Options(
            beams: beams, results: max(1, beams - 1), maximumTokens: 6 + number % 9,
            lengthPenalty: [1, 0.6, 2][number % 3],
            earlyStopping: [.whenUnlikely, .whenFull, .never][number % 3], stopTokens: [2, Int32(10 + number)])
        if number % 3 == 1 { options.rules.noRepeatNGram = 2 }
        if number % 5 == 2 { options.rules.minimumNewTokens = 4 }
        return options
    }

    private static func source(_ number: Int) -> [Int32] {
        (0..<[3, 20, 1, 38, 9][number % 5]).map { Int32(($0 * 37 + number * 3) % 50 + 5) }
    }

    private static func alone(
        _ model: EncoderDecoder, _ number: Int, _ device: Device
    ) throws -> [BeamSearch.Hypothesis] {
        let search = try BeamSearch(options(number), vocabulary: model.targetVocabulary)
        let source = source(number)
        return try search.run(
            [[1]], sources: [source], on: Continuation(model, sources: [source], on: device))[0]
    }

    private static func expectAlone(_ model: EncoderDecoder, _ device: Device, _ options: EngineOptions) async throws {
        let engine = try Engine(.encoderDecoder(model), options, on: device)
        let found = try await withThrowingTaskGroup(of: (Int, [[BeamSearch.Hypothesis]]).self) { group in
            for number in 0..<12 {
                group.addTask {
                    let request = SearchRequest(
                        [source(number)], prompt: [1], Self.options(number), tenant: number % 2)
                    return (number, try await engine.search(request))
                }
            }
            return try await group.reduce(into: [Int: [[BeamSearch.Hypothesis]]]()) { $0[$1.0] = $1.1 }
        }
        for number in 0..<12 { #expect(found[number] == [try alone(model, number, device)]) }
        await EngineTests.settle(engine)
        // Each source was read once, whatever the beams; nothing is held.
        #expect(engine.metrics.texts == 12 && engine.metrics.finished == 12)
        #expect(engine.metrics.promptTokens == (0..<12).reduce(0) { $0 + source($1).count })
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0)
        if let limit = options.cacheBytes { #expect(engine.metrics.cacheBytes <= limit) }
    }

    @Test(
        arguments: [
            TinyArchitectures.translator(), TinyArchitectures.translator(heads: 2, arrangement: .before),
        ], [1, 2])
    func togetherIsAlone(architecture: Architecture, threads: Int) async throws {
        let device = Device(threads: threads)
        let model = try EncoderDecoder(
            architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3)))
        var options = EngineOptions()
        options.maximumSequences = 5
        try await Self.expectAlone(model, device, options)
        // Room for one search of four beams and its source at a time, or a few narrow ones.
        options.cacheBytes = StepEngine(model, on: device).layout.blockBytes * 6
        try await Self.expectAlone(model, device, options)
    }

    /// Models whose steps are recorded, and models whose are not.
    @Test(arguments: ["t5", "marian", "bart", "mbart", "pegasus", "led", "switch", "umt5", "m2m-100"])
    func familiesWriteAsAlone(fixture: String) async throws {
        let (model, device) = try EngineReadingTests.model(fixture)
        guard case .encoderDecoder(let writer) = model else { throw Failure("\(fixture) is no encoder-decoder") }
        try await Self.expectAlone(writer, device, EngineOptions())
    }

    private struct Failure: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    @Test func whoLeavesIsForgotten() async throws {
        let device = Device(threads: 2)
        let model = try EncoderDecoder(
            TinyArchitectures.translator(), Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3)))
        let engine = try Engine(.encoderDecoder(model), on: device)
        let long = BeamSearch.Options(beams: 4, maximumTokens: 1_000)
        let leaving = Task { try await engine.search(SearchRequest([[5, 6], [7, 8, 9]], prompt: [1], long)) }
        let staying = Task {
            try await engine.search(SearchRequest([Self.source(1)], prompt: [1], Self.options(1)))
        }
        // Between two steps, on the engine's own thread: no search can end meanwhile.
        await Task(executorPreference: engine) {
            while engine.metrics.generatedTokens < 30 { await Task.yield() }
            leaving.cancel()
        }.value
        await #expect(throws: CancellationError.self) { try await leaving.value }
        #expect(try await staying.value == [try Self.alone(model, 1, device)])
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0 && engine.metrics.cancelled == 1)
        await #expect(throws: EngineError.self) {
            try await engine.search(SearchRequest([[5]], prompt: [1], .init(beams: 0, maximumTokens: 3)))
        }
        await #expect(throws: EngineError.self) {
            try await engine.search(SearchRequest([[99]], prompt: [1], .init(beams: 1, maximumTokens: 3)))
        }
        var options = EngineOptions()
        options.cacheBytes = StepEngine(model, on: device).layout.blockBytes * 3
        let small = try Engine(.encoderDecoder(model), options, on: device)
        let error = await #expect(throws: EngineError.self) {
            try await small.search(SearchRequest([[5]], prompt: [1], long))
        }
        #expect(error?.description.contains("fewer beams") == true)
    }
}
