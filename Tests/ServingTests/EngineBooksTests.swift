import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// An engine's books: never more blocks than it may have, and none of requests that are gone.
@Suite struct EngineBooksTests {
    private static let windowed: Architecture = {
        var architecture = TinyArchitectures.decoder(layers: 4)
        guard case .decoder(var stack) = architecture.body else { return architecture }
        for index in [0, 2] { stack.layers[index].attention.reach = .window(70) }
        architecture.body = .decoder(stack)
        return architecture
    }()

    /// Requests that need three times the blocks that there are, all at once, with a draft model and without.
    @Test(arguments: [TinyArchitectures.decoder(), windowed], [false, true])
    func thePoolStaysUnderItsLimit(architecture: Architecture, isDrafted: Bool) async throws {
        let (decoder, device) = try EngineTests.decoder(architecture, threads: 2)
        let layout = try StepEngine(decoder, on: device).layout
        let draft = isDrafted ? decoder : nil
        var options = EngineOptions()
        // 24 blocks of each table, shared with a draft model of the same size where there is one.
        let limit = 24 * layout.blockBytes * (isDrafted ? 2 : 1) + layout.blockBytes / 2
        (options.cacheBytes, options.maximumSequences, options.guesses) = (limit, 12, isDrafted ? 2 : nil)
        let engine = try Engine(decoder, options, draft: draft, on: device)
        // Each fills six blocks at its end: twelve of them 72.
        let requests = (0..<12).map { number in
            var request = EngineTests.request(number, prompt: EngineTests.tokens(20, number), count: 360)
            request.namespace = number % 2
            return request
        }
        let streams = try requests.map { try engine.submit($0) }
        var most = 0
        for (request, stream) in zip(requests, streams) {
            var tokens: [Int32] = []
            for try await token in stream {
                tokens.append(token.token)
                most = max(most, engine.metrics.cacheBytes)
            }
            #expect(tokens == (try EngineTests.alone(architecture, request)))
        }
        await EngineTests.settle(engine)
        // The pool gives nothing back while the engine lives: what it holds at the end is the most it has held.
        #expect(most <= limit && engine.metrics.cacheBytes <= limit)
        #expect(engine.metrics.cacheBytes >= 20 * layout.blockBytes && engine.metrics.preemptions > 0)
        #expect(engine.metrics.usedBlocks == 0 && engine.metrics.held == .init())
    }

    private struct Letters: TokenConstraint {
        mutating func allowed() -> TokenMask? {
            var mask = TokenMask(vocabulary: 61)
            for token in 3..<30 { mask[Int32(token)] = true }
            return mask
        }
        mutating func append(_ token: Int32) {}
        var isFinished: Bool { false }
    }

    /// A request of one of the kinds that there are.
    private static func request(_ number: Int) -> EngineRequest {
        let kind = number % 10
        var request = EngineTests.request(
            number, prompt: EngineTests.tokens(kind == 1 ? 400 : 5 + number % 130, number), count: 300)
        switch kind {
        case 2: (request.guesses, request.tokens) = (true, (0..<60).map { Int32($0 % 7) })
        case 3: request.constraint = Letters()
        case 4: (request.rules.noRepeatNGram, request.rules.repetitionPenalty) = (3, 1.1)
        case 5: request.scored = 4
        case 6: request.deadline = .now + .milliseconds(3)
        case 7: (request.tenant, request.priority) = (number % 5, number % 3)
        case 8: request.maximumTokens = number % 20 < 10 ? 0 : 1
        case 9: request.isDrafted = false
        default: break
        }
        request.namespace = number % 4 == 0 ? nil : number % 3
        return request
    }

    /// One that leaves before it is looked at, while it waits, while it is read, while it is written, or without a
    /// word.
    private static func leave(_ number: Int, _ engine: Engine) async throws {
        let stream = try engine.submit(request(number))
        switch number % 7 {
        case 0: stream.cancel()
        case 1: break
        case 2:
            await Task.yield()
            stream.cancel()
        case 3:
            await stream.beginning()
            stream.cancel()
        case 4:
            let reader = Task { for try await _ in stream {} }
            await Task.yield()
            reader.cancel()
            _ = await reader.result
        default:
            do {
                var left = number % 9
                for try await _ in stream where left > 0 {
                    left -= 1
                    if left == 0 { break }
                }
            } catch is EngineError {}
            stream.cancel()
            stream.cancel()
        }
    }

    /// A thousand requests of every kind that leave at every moment, six at a time: nothing of them is left, and the
    /// pool holds what it held after the first hundred.
    @Test func nothingIsLeftOfCancelledRequests() async throws {
        let (decoder, device) = try EngineTests.decoder(Self.windowed, threads: 2)
        let bytes = try StepEngine(decoder, on: device).layout.blockBytes
        let draft = try Decoder(
            TinyArchitectures.decoder(width: 32, layers: 1),
            Scope(SeededInitialiser(seed: 9, device: device, deviation: 0.3)))
        var options = EngineOptions()
        (options.maximumSequences, options.cacheBytes, options.guesses) = (3, 60 * bytes, 2)
        let engine = try Engine(decoder, options, draft: draft, on: device)
        var held = 0
        for round in 0..<10 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for lane in 0..<4 {
                    group.addTask {
                        for number in 0..<25 { try await Self.leave(round * 100 + lane * 25 + number, engine) }
                    }
                }
                try await group.waitForAll()
            }
            try await settled(engine, round)
            if round == 0 { held = engine.metrics.cacheBytes }
        }
        let metrics = engine.metrics
        #expect(metrics.cancelled + metrics.finished + metrics.failed == 1_000)
        #expect(metrics.cancelled > 300 && metrics.draftedTokens > 0)
        #expect(metrics.cacheBytes <= 60 * bytes && held > 0)
        // The engine works as before.
        let last = EngineTests.request(1, prompt: EngineTests.tokens(80), count: 40)
        #expect(try await EngineTests.read(try engine.submit(last)) == (try EngineTests.alone(Self.windowed, last)))
    }

    private func settled(_ engine: Engine, _ round: Int) async throws {
        for _ in 0..<60_000 {
            let metrics = engine.metrics
            if metrics.cancelled + metrics.finished + metrics.failed == 100 * (round + 1), metrics.held == .init(),
                metrics.waiting == 0, metrics.running == 0
            {
                break
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        let metrics = engine.metrics
        #expect(metrics.held == .init() && metrics.waiting == 0 && metrics.running == 0, "round \(round)")
        #expect(metrics.usedBlocks == 0, "round \(round)")
    }
}
