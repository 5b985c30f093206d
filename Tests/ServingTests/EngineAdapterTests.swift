import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// Requests by different adapters, and by none, in the steps of one engine: each gets the tokens and log-probabilities
/// of a model that has its adapter alone.
@Suite struct EngineAdapterTests {
    static let names = ["llama", "gpt2"]
    /// Scales of the fixture's adapter, which make two others of it.
    private static let scales: [Float] = [1, -0.7]

    private static func file(_ name: String) throws -> ModelFile {
        try ModelFile(path: Fixtures.folder + "/families/" + name)
    }

    /// The model with the adapter at one scale on all rows; with nil, the model.
    private static func alone(_ name: String, _ adapter: Int?, on device: Device) throws -> Decoder {
        var file = try file(name)
        if let adapter { try file.add(adapter: Fixtures.folder + "/adapters/" + name, scale: scales[adapter]) }
        return try file.decoder(on: device)
    }

    private static func engine(
        _ name: String, _ options: EngineOptions = EngineOptions(), on device: Device
    ) throws -> Engine {
        var file = try file(name)
        for scale in scales { try file.add(selectable: [(Fixtures.folder + "/adapters/" + name, scale)]) }
        let adapters = EngineAdapters(file.selection, count: file.selectable.count)
        return try Engine(try file.decoder(on: device), options, adapters: adapters, on: device)
    }

    private static func request(_ number: Int) -> EngineRequest {
        let sampling = number % 2 == 0 ? Sampling.greedy : Sampling(temperature: 1, topK: 12, seed: UInt64(number))
        let prompt = (0..<[3, 20, 9, 1][number % 4]).map { Int32(($0 * $0 * 3 + 5 * number + 1) % 47 + 1) }
        var request = EngineRequest(tokens: prompt, maximumTokens: 20 + number % 5, sampling: sampling)
        request.adapter = number % 3 == 2 ? nil : number % 3
        request.scored = 3
        request.guesses = number % 5 == 4
        return request
    }

    private static func read(_ stream: EngineStream) async throws -> [SampledToken] {
        var tokens: [SampledToken] = []
        for try await token in stream { tokens.append(token) }
        return tokens
    }

    @Test(arguments: names, [1, 2]) func togetherIsAlone(name: String, threads: Int) async throws {
        let device = Device(threads: threads)
        var options = EngineOptions()
        (options.maximumSequences, options.stepMilliseconds) = (5, 5)
        let engine = try Self.engine(name, options, on: device)
        let requests = (0..<12).map { Self.request($0) }
        let streams = try requests.map { try engine.submit($0) }
        var texts: Set<[Int32]> = []
        for (request, stream) in zip(requests, streams) {
            let decoder = try Self.alone(name, request.adapter, on: device)
            var plain = request
            plain.adapter = nil
            let single = try Engine(decoder, on: device)
            let expected = try await Self.read(single.submit(plain))
            single.stop()
            #expect(try await Self.read(stream) == expected)
            texts.insert(expected.map(\.token))
        }
        #expect(texts.count > 6)
        await EngineTests.settle(engine)
        #expect(engine.metrics.held == .init() && engine.metrics.usedBlocks == 0)
    }

    /// The adapters do write other texts, and no text goes on from what another adapter has read.
    @Test func beginningsBelongToAnAdapter() async throws {
        let device = Device(threads: 1)
        let engine = try Self.engine("llama", on: device)
        var scores: Set<[Float?]> = []
        for round in 0..<2 {
            for adapter in [nil, 0, 1] as [Int?] {
                var request = EngineRequest(tokens: (0..<20).map { Int32($0 + 1) }, maximumTokens: 4)
                (request.adapter, request.namespace, request.scored) = (adapter, 3, 0)
                let stream = try engine.submit(request)
                scores.insert(try await Self.read(stream).map(\.logProbability))
                #expect(stream.progress.sharedTokens == (round == 0 ? 0 : 19))
            }
        }
        #expect(scores.count == 3)
    }

    @Test func unknownAdaptersAreRefused() throws {
        let engine = try Self.engine("llama", on: Device(threads: 1))
        var request = EngineRequest(tokens: [1])
        request.adapter = 2
        let error = #expect(throws: EngineError.self) { try engine.submit(request) }
        #expect(error?.description.contains("adapter 2") == true && error?.description.contains("has 2") == true)
        var file = try Self.file("bert-classification")
        #expect(throws: ModelError.self) {
            try file.add(selectable: [(Fixtures.folder + "/adapters/bert-classification", 1)])
        }
    }
}
