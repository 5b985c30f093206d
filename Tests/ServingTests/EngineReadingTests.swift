import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// Texts that are read whole: those of many callers share passes, between steps that write, and none of them changes.
@Suite struct EngineReadingTests {
    static func model(_ fixture: String) throws -> (Model, Device) {
        let device = Device(threads: 2)
        return (try ModelFile(path: Fixtures.folder + "/families/" + fixture).model(on: device), device)
    }

    static func texts(_ count: Int, vocabulary: Int, longest: Int = 23) -> [WholeText] {
        (0..<count).map { number in
            WholeText((0...number * 7 % longest).map { Int32(($0 * 37 + number) % (vocabulary - 6) + 5) })
        }
    }

    /// Holds the engine's thread until `count` requests wait.
    static func hold(_ engine: Engine, until count: Int) -> Task<Void, Never> {
        Task(executorPreference: engine) { while engine.metrics.waiting < count { usleep(1_000) } }
    }

    static func expectSame(_ a: ReadText, _ b: ReadText) {
        #expect(a.hidden.values == b.hidden.values && a.outputs.keys.sorted() == b.outputs.keys.sorted())
        for (name, output) in a.outputs { #expect(output.values == b.outputs[name]?.values) }
    }

    @Test(arguments: [
        "bert", "bert-classification", "bert-tokens", "deberta-v3-classification", "modernbert-answers",
        "bart-classification", "jina3-model", "llama-classification", "longformer", "qwen2-tokens", "llama",
    ])
    func callersShareThePasses(fixture: String) async throws {
        let (model, device) = try Self.model(fixture)
        let engine = try Engine(model, on: device)
        let texts = Self.texts(32, vocabulary: model.architecture.vocabulary)
        let alone = texts.map { model.read([$0], on: device)[0] }
        let held = Self.hold(engine, until: 32)
        let found = try await withThrowingTaskGroup(of: (Int, [ReadText]).self) { group in
            for (number, text) in texts.enumerated() {
                group.addTask { (number, try await engine.read(ReadingRequest([text], tenant: number % 3))) }
            }
            return try await group.reduce(into: [Int: [ReadText]]()) { $0[$1.0] = $1.1 }
        }
        await held.value
        for (number, expected) in alone.enumerated() {
            let own = try #require(found[number])
            #expect(own.count == 1)
            Self.expectSame(own[0], expected)
        }
        await EngineTests.settle(engine)
        // 340 rows in passes of at least 96.
        #expect(engine.metrics.texts == 32 && engine.metrics.textPasses <= 6)
        #expect(engine.metrics.promptTokens == texts.reduce(0) { $0 + $1.tokens.count })
        #expect(engine.metrics.finished == 32 && engine.metrics.held == .init())
        let together = try await engine.read(ReadingRequest(texts))
        for (a, b) in zip(together, alone) { Self.expectSame(a, b) }
    }

    /// A request of many long texts, each longer than a step should be and read by itself, beside one that writes: both
    /// have the bits that they have alone.
    @Test func longTextsAreReadBesideOneThatIsWritten() async throws {
        let architecture = EngineTests.variants[0]
        let (decoder, device) = try EngineTests.decoder(architecture, threads: 2)
        var options = EngineOptions()
        (options.maximumSequences, options.stepMilliseconds) = (2, 1)
        let engine = try Engine(decoder, options, on: device)
        let texts = (0..<6).map { WholeText(EngineTests.tokens(700 + $0, $0)) }
        let request = EngineTests.request(1, prompt: EngineTests.tokens(9), count: 400)
        let stream = try engine.submit(request)
        var iterator = stream.makeAsyncIterator()
        var written = [try #require(try await iterator.next()).token]
        let found = try await engine.read(ReadingRequest(texts))
        while let token = try await iterator.next() { written.append(token.token) }
        #expect(try EngineTests.alone(architecture, request) == written)
        for (own, text) in zip(found, texts) {
            Self.expectSame(own, Model.decoder(decoder).read([text], on: device)[0])
        }
        #expect(engine.metrics.textPasses == 6)
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init())
    }

    @Test func whoLeavesIsForgottenAndOthersAreRead() async throws {
        let (model, device) = try Self.model("bert")
        let engine = try Engine(model, on: device)
        let texts = Self.texts(40, vocabulary: model.architecture.vocabulary)
        let alone = model.read(texts, on: device)
        let held = Self.hold(engine, until: 3)
        let readers = (0..<3).map { _ in Task { try await engine.read(ReadingRequest(texts)) } }
        readers[1].cancel()
        await #expect(throws: CancellationError.self) { try await readers[1].value }
        for reader in [readers[0], readers[2]] {
            for (a, b) in zip(try await reader.value, alone) { Self.expectSame(a, b) }
        }
        await held.value
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init() && engine.metrics.cancelled == 1 && engine.metrics.finished == 2)
        await #expect(throws: EngineError.self) { try await engine.read(ReadingRequest([WholeText([900])])) }
        await #expect(throws: EngineError.self) { try await engine.read(ReadingRequest([WholeText([])])) }
        let error = #expect(throws: EngineError.self) { try engine.submit(EngineRequest(tokens: [5])) }
        #expect(error?.description.contains("not a decoder") == true)
        engine.stop()
        await #expect(throws: EngineError.stopped) { try await engine.read(ReadingRequest([texts[0]])) }
    }
}
