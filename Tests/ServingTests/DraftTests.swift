import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// A draft model changes how many tokens a step gives, and no token.
@Suite struct DraftTests {
    private static func decoder(
        _ architecture: Architecture, deviation: Float = 0.3, on device: Device
    ) throws -> Decoder {
        try Decoder(architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: deviation)))
    }

    private static func options(guesses: Int? = 3) -> EngineOptions {
        var options = EngineOptions()
        options.guesses = guesses
        return options
    }

    private static func requests(_ count: Int) -> [EngineRequest] {
        (0..<count).map { number in
            let sampling =
                number % 2 == 0 ? Sampling.greedy : Sampling(temperature: 0.9, topP: 0.95, seed: UInt64(number))
            let prompt = EngineTests.tokens([40, 300, 3, 64][number % 4], number)
            return EngineRequest(tokens: prompt, maximumTokens: 50 + number, sampling: sampling)
        }
    }

    /// Beside a draft that is the model itself, one that is nearly so, and one that knows nothing of it.
    @Test(arguments: EngineTests.variants, [Float(0.3), 0.302, 0])
    func guessesChangeNothing(architecture: Architecture, deviation: Float) async throws {
        let device = Device(threads: 2)
        let model = try Self.decoder(architecture, on: device)
        let draft =
            deviation > 0
            ? try Self.decoder(architecture, deviation: deviation, on: device)
            : try Self.decoder(TinyArchitectures.decoder(width: 32, layers: 1), on: device)
        let engine = try Engine(model, Self.options(), draft: draft, on: device)
        let requests = Self.requests(4)
        let streams = try requests.map { try engine.submit($0) }
        for (request, stream) in zip(requests, streams) {
            #expect(try await EngineTests.read(stream) == (try EngineTests.alone(architecture, request)))
        }
        await EngineTests.settle(engine)
        let metrics = engine.metrics
        #expect(metrics.usedBlocks == 0 && metrics.held == .init())
        guard !architecture.keysDependOnLength else { return #expect(metrics.draftedTokens == 0) }
        #expect(metrics.draftedTokens > 0 && metrics.acceptedTokens <= metrics.draftedTokens)
        if deviation == 0.3 { #expect(metrics.acceptedTokens == metrics.draftedTokens) }
        if deviation == 0.302 { #expect(metrics.acceptedTokens > metrics.draftedTokens / 4) }
    }

    /// One step gives as many tokens as were guessed and one: 60 tokens after the first take 15 steps of four.
    @Test func rightGuessesSaveSteps() async throws {
        let device = Device(threads: 1)
        let model = try Self.decoder(EngineTests.variants[0], on: device)
        let engine = try Engine(model, Self.options(), draft: model, on: device)
        let stream = try engine.submit(EngineRequest(tokens: EngineTests.tokens(20), maximumTokens: 61))
        #expect(try await EngineTests.read(stream).count == 61)
        await EngineTests.settle(engine)
        #expect(engine.metrics.steps == 1 + 15 && engine.metrics.acceptedTokens == 45)
        #expect(stream.progress.guessedTokens == 45 && stream.progress.acceptedTokens == 45)
        var plain = EngineRequest(tokens: EngineTests.tokens(20), maximumTokens: 61)
        plain.isDrafted = false
        _ = try await EngineTests.read(try engine.submit(plain))
        await EngineTests.settle(engine)
        #expect(engine.metrics.steps == 16 + 61 && engine.metrics.draftedTokens == 45)
    }

    /// After 5 come 7 and 9 without a choice, after 6 comes one of three.
    private struct Pairs: TokenConstraint {
        private var last: Int32 = 0

        func allowed() -> TokenMask? {
            var mask = TokenMask(vocabulary: 61)
            for token in last == 6 ? [11, 12, 5] : last == 5 ? [7] : last == 7 ? [9] : Array(5..<40) {
                mask[Int32(token)] = true
            }
            return mask
        }
        mutating func append(_ token: Int32) { last = token }
        var isFinished: Bool { false }
        func forcedTokens() -> [Int32] { last == 5 ? [7, 9] : [] }
    }

    /// Texts that must be kept to a form, or to rules on the whole text, are guessed like others and stay as they are.
    @Test(arguments: [Float(0.3), 0.302], [0, 1, 2])
    func ruledTextsAreGuessedAndStay(deviation: Float, kind: Int) async throws {
        let device = Device(threads: 1)
        let model = try Self.decoder(EngineTests.variants[0], on: device)
        let draft = try Self.decoder(EngineTests.variants[0], deviation: deviation, on: device)
        let engine = try Engine(model, Self.options(), draft: draft, on: device)
        for seed in 0..<4 {
            let sampling = seed % 2 == 0 ? Sampling.greedy : Sampling(temperature: 1, seed: UInt64(seed))
            var request = EngineRequest(
                tokens: EngineTests.tokens(20 + seed), maximumTokens: 80, sampling: sampling)
            request.guesses = seed < 2
            if kind != 1 { request.constraint = Pairs() }
            if kind != 0 { (request.rules.noRepeatNGram, request.scored) = (3, 1) }
            var plain = request
            (plain.isDrafted, plain.guesses) = (false, false)
            let stream = try engine.submit(request)
            let tokens = try await EngineTests.read(stream)
            #expect(tokens == (try await EngineTests.read(try engine.submit(plain))) && tokens.count == 80)
            #expect(stream.progress.guessedTokens > 0)
        }
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init())
        if kind != 2 { #expect(engine.metrics.acceptedTokens > 0) }
    }

    /// Long prompts are read by the draft in parts, texts beyond its context are written without it, and its keys and
    /// values lie within the limit.
    @Test func draftsHaveBounds() async throws {
        let device = Device(threads: 2)
        let architecture = EngineTests.variants[0]
        let model = try Self.decoder(architecture, on: device)
        let short = TinyArchitectures.decoder(layers: 1, context: 700)
        let draft = try Self.decoder(short, on: device)
        let bytes =
            try StepEngine(model, on: device).layout.blockBytes + StepEngine(draft, on: device).layout.blockBytes
        var options = Self.options(guesses: nil)
        (options.cacheBytes, options.guesses) = (20 * bytes, 2)
        let engine = try Engine(model, options, draft: draft, on: device)
        let requests = [600, 650, 20, 500].enumerated().map { number, length in
            EngineRequest(tokens: EngineTests.tokens(length, number), maximumTokens: 120)
        }
        let streams = try requests.map { try engine.submit($0) }
        for (request, stream) in zip(requests, streams) {
            #expect(try await EngineTests.read(stream) == (try EngineTests.alone(architecture, request)))
        }
        await EngineTests.settle(engine)
        #expect(engine.metrics.cacheBytes <= 20 * bytes && engine.metrics.draftedTokens > 0)
        #expect(engine.metrics.held == .init())
    }

    @Test func otherVocabulariesAreRefused() throws {
        let device = Device(threads: 1)
        let model = try Self.decoder(EngineTests.variants[0], on: device)
        let draft = try Self.decoder(TinyArchitectures.decoder(vocabulary: 64), on: device)
        let error = #expect(throws: GenerationError.self) { try Engine(model, draft: draft, on: device) }
        #expect(error?.description.contains("64") == true && error?.description.contains("61") == true)
        var options = EngineOptions()
        options.guesses = 65
        #expect(throws: GenerationError.self) { try Engine(model, options, on: device) }
    }
}
