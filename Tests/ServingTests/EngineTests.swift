import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// The engine gives every request the tokens that it gets alone, whatever else there is.
@Suite struct EngineTests {
    static let variants: [Architecture] = [
        TinyArchitectures.decoder(), TinyArchitectures.decoder(reach: .window(20)), alternating,
        TinyArchitectures.decoder(positions: .linearBias(.afterScaling), arrangement: .parallelShared),
        TinyArchitectures.decoder(
            positions: .rotary(.init(width: 10, base: 10_000, scaling: .dynamic(2, trained: 20)))),
        TinyArchitectures.decoder(
            feedForward: .experts(
                .init(count: 5, active: 2, hidden: 20, activation: .silu, routing: .renormalised))),
    ]

    private static let alternating: Architecture = {
        var architecture = TinyArchitectures.decoder(layers: 4)
        guard case .decoder(var stack) = architecture.body else { return architecture }
        for index in [0, 2] { stack.layers[index].attention.reach = .window(70) }
        architecture.body = .decoder(stack)
        return architecture
    }()

    private static func decoder(_ architecture: Architecture, threads: Int) throws -> (Decoder, Device) {
        let device = Device(threads: threads)
        return (try Decoder(architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3))), device)
    }

    private static func tokens(_ count: Int, _ shift: Int = 0) -> [Int32] {
        (0..<count).map { Int32(($0 * 37 + $0 / 5 + shift) % 61) }
    }

    private static func request(_ number: Int, prompt: [Int32], count: Int) -> EngineRequest {
        let sampling = number % 3 == 0 ? Sampling.greedy : Sampling(temperature: 1, topK: 20, seed: UInt64(number))
        return EngineRequest(tokens: prompt, maximumTokens: count, sampling: sampling)
    }

    private static func alone(_ architecture: Architecture, _ request: EngineRequest) throws -> [Int32] {
        let (decoder, device) = try decoder(architecture, threads: 1)
        var generator = try TokenGenerator(
            decoder, prompt: request.tokens, .init(maximumTokens: request.maximumTokens, sampling: request.sampling),
            on: device)
        var tokens: [Int32] = []
        while let token = generator.next() { tokens.append(token) }
        return tokens
    }

    /// Until nothing runs or waits.
    private static func settle(_ engine: Engine) async {
        while engine.metrics.running > 0 || engine.metrics.waiting > 0 { await Task.yield() }
    }

    private static func read(_ stream: EngineStream) async throws -> [Int32] {
        var tokens: [Int32] = []
        for try await token in stream { tokens.append(token.token) }
        return tokens
    }

    @Test(arguments: variants, [1, 2]) func togetherIsAlone(architecture: Architecture, threads: Int) async throws {
        let (decoder, device) = try Self.decoder(architecture, threads: threads)
        var options = EngineOptions()
        (options.maximumSequences, options.stepMilliseconds) = (5, 5)
        let engine = try Engine(decoder, options, on: device)
        let requests = (0..<9).map {
            Self.request($0, prompt: Self.tokens([3, 150, 64, 1, 65][$0 % 5], $0), count: 20 + $0)
        }
        let streams = try requests.map { try engine.submit($0) }
        for (request, stream) in zip(requests, streams) {
            #expect(try await Self.read(stream) == (try Self.alone(architecture, request)))
            #expect(stream.usage?.generatedTokens == request.maximumTokens && stream.usage?.finish == .length)
        }
        await Self.settle(engine)
        #expect(engine.metrics.finished == 9 && engine.metrics.usedBlocks == 0)
    }

    /// A pool too small for all: the youngest are preempted and read again.
    @Test(arguments: variants.prefix(3)) func preemptedIsAlone(architecture: Architecture) async throws {
        let (decoder, device) = try Self.decoder(architecture, threads: 2)
        let bytes = try StepEngine(decoder, on: device).layout.blockBytes
        var options = EngineOptions()
        (options.maximumSequences, options.cacheBytes) = (4, 8 * bytes)
        let engine = try Engine(decoder, options, on: device)
        let requests = (0..<6).map { Self.request($0, prompt: Self.tokens(50 + $0, $0), count: 130) }
        let streams = try requests.map { try engine.submit($0) }
        var preemptions = 0
        for (request, stream) in zip(requests, streams) {
            #expect(try await Self.read(stream) == (try Self.alone(architecture, request)))
            preemptions += stream.usage?.preemptions ?? 0
        }
        if architecture == Self.variants[0] { #expect(preemptions > 0) }
        guard architecture == Self.variants[0] else { return }
        let error = #expect(throws: EngineError.self) {
            try engine.submit(Self.request(0, prompt: Self.tokens(900), count: 100))
        }
        #expect(error?.description.contains("memory for 448") == true)
    }

    /// Beginnings that another request has read are not read again, to the token, and the bits stay.
    @Test(arguments: variants.prefix(4)) func sharedBeginningsAreAlone(architecture: Architecture) async throws {
        let (decoder, device) = try Self.decoder(architecture, threads: 2)
        let engine = try Engine(decoder, on: device)
        let start = Self.tokens(200)
        for (number, length) in [200, 0, 1, 63, 64, 65, 130, 199].enumerated() {
            var request = Self.request(
                number, prompt: Array(start.prefix(length)) + Self.tokens(200 - length, 7 + number), count: 12)
            request.namespace = 1
            let stream = try engine.submit(request)
            #expect(try await Self.read(stream) == (try Self.alone(architecture, request)))
            if architecture == Self.variants[0] {
                #expect(stream.progress.sharedTokens >= (number == 0 ? 0 : length / 64 * 64))
            }
            if number == 0 { #expect(stream.progress.sharedTokens == 0) }
        }
    }

    /// Those who leave give their blocks back and change nothing for others.
    @Test func cancelledNeighboursChangeNothing() async throws {
        let architecture = Self.variants[0]
        let (decoder, device) = try Self.decoder(architecture, threads: 2)
        let engine = try Engine(decoder, on: device)
        let request = Self.request(1, prompt: Self.tokens(30), count: 200)
        let stream = try engine.submit(request)
        for number in 0..<30 {
            let other = try engine.submit(Self.request(number, prompt: Self.tokens(10 + number), count: 500))
            if number % 3 == 0 { other.cancel() }
            if number % 3 == 1 {
                var iterator = other.makeAsyncIterator()
                let first = try await iterator.next()
                #expect(first != nil)
                other.cancel()
                // Where the reader was late, all of it was written before.
                do { #expect(try await Self.read(other).count == 499) } catch is CancellationError {}
            }
        }
        #expect(try await Self.read(stream) == (try Self.alone(architecture, request)))
        // Streams that nobody holds are cancelled too.
        while engine.metrics.cancelled + engine.metrics.finished < 31 { await Task.yield() }
        await Self.settle(engine)
        #expect(engine.metrics.usedBlocks == 0)
    }

    @Test func textsEnd() async throws {
        let architecture = Self.variants[0]
        let (decoder, device) = try Self.decoder(architecture, threads: 1)
        let engine = try Engine(decoder, on: device)
        var request = Self.request(0, prompt: Self.tokens(9), count: 30)
        let whole = try Self.alone(architecture, request)
        request.stopTokens = [whole[7]]
        var stream = try engine.submit(request)
        #expect(try await Self.read(stream) == Array(whole.prefix { $0 != whole[7] }) && stream.usage?.finish == .stop)
        request.stopTokens = []
        request.maximumTokens = 0
        stream = try engine.submit(request)
        #expect(try await Self.read(stream).isEmpty && stream.usage?.finish == .length)
        request.maximumTokens = 5_000
        request.tokens = Self.tokens(1_195)
        stream = try engine.submit(request)
        #expect(try await Self.read(stream).count == 5 && stream.usage?.finish == .length)
    }

    @Test func whatCannotBeServedIsRefusedAtOnce() async throws {
        let (decoder, device) = try Self.decoder(Self.variants[0], threads: 1)
        var options = EngineOptions()
        (options.waitingRequests, options.maximumSequences) = (2, 1)
        let engine = try Engine(decoder, options, on: device)
        let error = #expect(throws: EngineError.self) {
            try engine.submit(EngineRequest(tokens: [1, 99], sampling: Sampling(temperature: -1)))
        }
        #expect(error?.description.contains("99") == true && error?.description.contains("temperature") == true)
        #expect(throws: EngineError.self) { try engine.submit(EngineRequest(tokens: [])) }
        var streams: [EngineStream] = []
        var refusal: EngineError?
        for _ in 0..<10 where refusal == nil {
            do {
                streams.append(try engine.submit(EngineRequest(tokens: Self.tokens(100), maximumTokens: 1_000)))
            } catch { refusal = error }
        }
        #expect(refusal?.description.contains("wait") == true && engine.metrics.refused > 0)
        var late = EngineRequest(tokens: [1], maximumTokens: 1_000)
        late.deadline = .now
        for stream in streams { stream.cancel() }
        while engine.metrics.waiting > 0 { await Task.yield() }
        let expired = try engine.submit(late)
        await #expect(throws: EngineError.expired) { _ = try await Self.read(expired) }
        engine.stop()
        await #expect(throws: EngineError.stopped) {
            let stream = try engine.submit(EngineRequest(tokens: [1]))
            _ = try await Self.read(stream)
        }
    }
}
