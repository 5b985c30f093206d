import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// Beam searches of decoders: beams are rows of common steps beside other searches and texts, and fork their keys and
/// values in blocks that are reserved for them. What is found is what a search alone finds.
@Suite struct EngineBeamTests {
    private static func options(_ number: Int, tokens: Int = 0) -> BeamSearch.Options {
        let beams = [4, 1, 2, 3][number % 4]
        var options = BeamSearch.Options(
            beams: beams, results: max(1, beams - 1), maximumTokens: 6 + number % 9 + tokens,
            lengthPenalty: [1, 0.6, 2][number % 3],
            earlyStopping: [.whenUnlikely, .whenFull, .never][number % 3], stopTokens: [2, Int32(10 + number)])
        if number % 3 == 1 { options.rules.noRepeatNGram = 2 }
        if number % 3 == 2 { options.rules.repetitionPenalty = 1.3 }
        return options
    }

    private static func prompt(_ number: Int) -> [Int32] {
        EngineTests.tokens([3, 150, 64, 1, 65, 130][number % 6], number)
    }

    /// A search without an engine.
    private static func alone(
        _ decoder: Decoder, _ number: Int, _ type: ElementType, tokens: Int = 0, _ device: Device
    ) throws -> [BeamSearch.Hypothesis] {
        let search = try BeamSearch(options(number, tokens: tokens), vocabulary: decoder.architecture.vocabulary)
        let steps = try StepEngine(decoder, cache: type, on: device)
        return try search.run(
            [prompt(number)], on: Continuation(decoder, sequences: 1, engine: steps, on: device))[0]
    }

    /// Nine searches and six texts at once.
    private static func expectAlone(
        _ architecture: Architecture, _ options: EngineOptions, threads: Int
    ) async throws {
        let (decoder, device) = try EngineTests.decoder(architecture, threads: threads)
        let engine = try Engine(decoder, options, on: device)
        let texts = (0..<6).map { number in
            var request = EngineTests.request(number, prompt: prompt(number + 1), count: 20 + number)
            request.guesses = number % 2 == 0
            return request
        }
        let streams = try texts.map { try engine.submit($0) }
        let found = try await withThrowingTaskGroup(of: (Int, [[BeamSearch.Hypothesis]]).self) { group in
            for number in 0..<9 {
                group.addTask {
                    let request = SearchRequest(
                        prompts: [prompt(number)], Self.options(number), tenant: number % 2)
                    return (number, try await engine.search(request))
                }
            }
            return try await group.reduce(into: [Int: [[BeamSearch.Hypothesis]]]()) { $0[$1.0] = $1.1 }
        }
        for number in 0..<9 {
            #expect(found[number] == [try alone(decoder, number, options.cache, device)], "search \(number)")
        }
        guard options.cache == .f32 else { return }
        for (request, stream) in zip(texts, streams) {
            #expect(try await EngineTests.read(stream) == (try EngineTests.alone(architecture, request)))
        }
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0 && engine.metrics.finished == 15)
    }

    @Test(arguments: EngineTests.variants, [1, 2, 3])
    func togetherIsAlone(architecture: Architecture, threads: Int) async throws {
        var options = EngineOptions()
        (options.maximumSequences, options.stepMilliseconds) = (7, 5)
        try await Self.expectAlone(architecture, options, threads: threads)
    }

    @Test(arguments: [ElementType.f16, .bf16, .q8_0]) func cachesOfAnyTypeAreAlone(type: ElementType) async throws {
        var options = EngineOptions()
        options.cache = type
        try await Self.expectAlone(TinyArchitectures.decoder(headWidth: 32), options, threads: 2)
    }

    /// Models whose steps are recorded, and models whose are not; LongRoPE reads beams anew that outgrow its length.
    @Test(arguments: ["phi3-longrope", "gemma2", "mixtral", "gpt2", "qwen3"])
    func familiesSearchAsAlone(fixture: String) async throws {
        let (model, device) = try EngineReadingTests.model(fixture)
        guard case .decoder(let decoder) = model else { throw Failure("\(fixture) is no decoder") }
        let engine = try Engine(model, on: device)
        let prompts: [[Int32]] = [[5, 9, 30, 12, 44, 7, 8, 21, 33, 60, 2, 3], [4, 5, 6], Array(1..<16)]
        let options = BeamSearch.Options(beams: 3, results: 3, maximumTokens: 10)
        let found = try await engine.search(SearchRequest(prompts: prompts, options))
        let search = try BeamSearch(options, vocabulary: decoder.architecture.vocabulary)
        for (prompt, found) in zip(prompts, found) {
            #expect(found == (try search.run([prompt], on: Continuation(decoder, sequences: 1, on: device))[0]))
        }
        #expect(engine.metrics.promptTokens == prompts.reduce(0) { $0 + $1.count })
    }

    private struct Failure: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// A pool for a third of what all ask for: searches give way to older texts and begin anew, and nothing takes more
    /// than there is.
    @Test func smallPoolsPreempt() async throws {
        let architecture = EngineTests.variants[0]
        let (decoder, device) = try EngineTests.decoder(architecture, threads: 2)
        let bytes = try StepEngine(decoder, on: device).layout.blockBytes
        var options = EngineOptions()
        (options.maximumSequences, options.cacheBytes) = (4, 12 * bytes)
        let engine = try Engine(decoder, options, on: device)
        // Each text fills seven blocks at its end, each search reserves up to nine.
        let texts = (0..<3).map { EngineTests.request($0, prompt: EngineTests.tokens(60, $0), count: 380) }
        let streams = try texts.map { try engine.submit($0) }
        let searches = (0..<6).map { number in
            Task {
                try await engine.search(
                    SearchRequest(prompts: [Self.prompt(number)], Self.options(number, tokens: 60)))
            }
        }
        for (request, stream) in zip(texts, streams) {
            #expect(try await EngineTests.read(stream) == (try EngineTests.alone(architecture, request)))
        }
        for (number, search) in searches.enumerated() {
            #expect(try await search.value == [try Self.alone(decoder, number, .f32, tokens: 60, device)])
        }
        await EngineTests.settle(engine)
        #expect(engine.metrics.preemptions > 0 && engine.metrics.cacheBytes <= 12 * bytes)
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0)
        let error = await #expect(throws: EngineError.self) {
            try await engine.search(SearchRequest(prompts: [[5]], .init(beams: 7, maximumTokens: 100)))
        }
        #expect(error?.description.contains("14 blocks") == true && error?.description.contains("fewer beams") == true)
    }

    @Test func whoLeavesIsForgotten() async throws {
        let (decoder, device) = try EngineTests.decoder(EngineTests.variants[0], threads: 2)
        let engine = try Engine(decoder, on: device)
        let long = BeamSearch.Options(beams: 4, maximumTokens: 1_000)
        let leaving = Task { try await engine.search(SearchRequest(prompts: [[5, 6], [7, 8, 9]], long)) }
        let staying = Task { try await engine.search(SearchRequest(prompts: [Self.prompt(1)], Self.options(1))) }
        await Task(executorPreference: engine) {
            while engine.metrics.generatedTokens < 30 { await Task.yield() }
            leaving.cancel()
        }.value
        await #expect(throws: CancellationError.self) { try await leaving.value }
        #expect(try await staying.value == [try Self.alone(decoder, 1, .f32, device)])
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0 && engine.metrics.cancelled == 1)
        for (prompts, options) in [
            ([[]], long), ([[99]], long), ([[5]], BeamSearch.Options(beams: 0, maximumTokens: 3)),
        ] as [([[Int32]], BeamSearch.Options)] {
            await #expect(throws: EngineError.self) {
                try await engine.search(SearchRequest(prompts: prompts, options))
            }
        }
        await #expect(throws: EngineError.self) {
            try await engine.search(SearchRequest([[5]], prompt: [1], long))
        }
    }
}
