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

    static func decoder(_ architecture: Architecture, threads: Int) throws -> (Decoder, Device) {
        let device = Device(threads: threads)
        return (try Decoder(architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3))), device)
    }

    static func tokens(_ count: Int, _ shift: Int = 0) -> [Int32] {
        (0..<count).map { Int32(($0 * 37 + $0 / 5 + shift) % 61) }
    }

    static func request(_ number: Int, prompt: [Int32], count: Int) -> EngineRequest {
        let sampling = number % 3 == 0 ? Sampling.greedy : Sampling(temperature: 1, topK: 20, seed: UInt64(number))
        return EngineRequest(tokens: prompt, maximumTokens: count, sampling: sampling)
    }

    static func alone(_ architecture: Architecture, _ request: EngineRequest) throws -> [Int32] {
        let (decoder, device) = try decoder(architecture, threads: 1)
        var generator = try TokenGenerator(
            decoder, prompt: request.tokens, .init(maximumTokens: request.maximumTokens, sampling: request.sampling),
            on: device)
        var tokens: [Int32] = []
        while let token = generator.next() { tokens.append(token) }
        return tokens
    }

    /// Until nothing runs or waits, and nothing is held any more.
    static func settle(_ engine: Engine) async {
        while true {
            let metrics = engine.metrics
            if metrics.running == 0 && metrics.waiting == 0 && metrics.held == .init() { return }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    static func read(_ stream: EngineStream) async throws -> [Int32] {
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
        // Any two of them need more blocks than there are.
        let requests = (0..<5).map { Self.request($0, prompt: Self.tokens(50 + $0, $0), count: 330) }
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

    /// Clients who leave give their blocks back and change nothing for others.
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
        while engine.metrics.cancelled + engine.metrics.finished < 31 { try? await Task.sleep(for: .milliseconds(2)) }
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
        while engine.metrics.waiting > 0 { try? await Task.sleep(for: .milliseconds(2)) }
        let expired = try engine.submit(late)
        await #expect(throws: EngineError.expired) { _ = try await Self.read(expired) }
        engine.stop()
        await #expect(throws: EngineError.stopped) {
            let stream = try engine.submit(EngineRequest(tokens: [1]))
            _ = try await Self.read(stream)
        }
    }

    private static let blocked = TinyArchitectures.decoder(
        width: 64, queryHeads: 4, keyHeads: 2, headWidth: 32, feedForward: .gated(hidden: 160, .silu, bias: .absent))

    @Test(arguments: [ElementType.f32, .f16, .bf16, .q8_0]) func cachesOfEveryTypeAreAlone(type: ElementType)
        async throws
    {
        let (decoder, device) = try Self.decoder(Self.blocked, threads: 2)
        var options = EngineOptions()
        (options.cache, options.maximumSequences, options.stepMilliseconds) = (type, 3, 5)
        let engine = try Engine(decoder, options, on: device)
        let requests = (0..<6).map { number in
            var request = Self.request(number, prompt: Self.tokens([70, 3, 130][number % 3], number), count: 30)
            request.namespace = 1
            return request
        }
        let streams = try requests.map { try engine.submit($0) }
        for (request, stream) in zip(requests, streams) {
            var generator = try TokenGenerator(
                decoder, prompt: request.tokens,
                .init(maximumTokens: request.maximumTokens, sampling: request.sampling, cache: type), on: device)
            var expected: [Int32] = []
            while let token = generator.next() { expected.append(token) }
            #expect(try await Self.read(stream) == expected)
        }
    }

    /// Guessed tokens are verified several at once; the text is the same, greedy and sampled, beside others and at
    /// every end.
    @Test(arguments: variants) func guessesChangeNothing(architecture: Architecture) async throws {
        let (decoder, device) = try Self.decoder(architecture, threads: 2)
        let engine = try Engine(decoder, on: device)
        var requests: [EngineRequest] = []
        for (number, sampling) in [Sampling.greedy, Sampling(temperature: 0.05, seed: 4), .greedy].enumerated() {
            // A text that repeats itself, so that something is guessed.
            let prompt = (0..<90).map { Int32($0 % (7 + number)) }
            var request = EngineRequest(tokens: prompt, maximumTokens: 90 + number, sampling: sampling)
            request.guesses = true
            requests.append(request)
        }
        let streams = try requests.map { try engine.submit($0) }
        for (request, stream) in zip(requests, streams) {
            #expect(try await Self.read(stream) == (try Self.alone(architecture, request)))
        }
        await Self.settle(engine)
        if !architecture.keysDependOnLength { #expect(engine.metrics.draftedTokens > 0) }
        #expect(engine.metrics.usedBlocks == 0)
    }

    @Test func rulesAreThoseOfOneSequence() async throws {
        let (decoder, device) = try Self.decoder(Self.variants[0], threads: 2)
        let engine = try Engine(decoder, on: device)
        var rules = TokenRules()
        (rules.noRepeatNGram, rules.repetitionPenalty, rules.suppressed, rules.minimumNewTokens) = (2, 1.3, [5, 9], 10)
        let free = Self.request(1, prompt: Self.tokens(40), count: 40)
        var ruled = free
        (ruled.rules, ruled.scored) = (rules, 2)
        let streams = [try engine.submit(ruled), try engine.submit(free)]
        var generator = try TokenGenerator(
            decoder, prompt: ruled.tokens,
            .init(maximumTokens: 40, sampling: ruled.sampling, rules: rules), on: device)
        var expected: [Int32] = []
        while let token = generator.next() { expected.append(token) }
        #expect(try await Self.read(streams[0]) == expected)
        #expect(try await Self.read(streams[1]) == (try Self.alone(Self.variants[0], free)))
        #expect(expected != (try Self.alone(Self.variants[0], free)))
    }

    /// Logits that are no numbers end the request, others go on; the error names the layer.
    @Test func brokenWeightsEndTheRequest() async throws {
        let (decoder, device) = try Self.decoder(TinyArchitectures.decoder(), threads: 1)
        let broken = try Decoder(
            decoder.architecture, Scope(BrokenSource(name: "decoder.1.feedForward.down.weight", device: device)))
        let engine = try Engine(broken, on: device)
        let stream = try engine.submit(EngineRequest(tokens: Self.tokens(5), maximumTokens: 4, sampling: .greedy))
        let error = await #expect(throws: GenerationError.self) { try await Self.read(stream) }
        #expect(error?.kind == .failure)
        #expect(error?.cause.contains("layer 1 is the first") == true)
    }
}

/// Seeded parameters, one of which begins with NaN.
private final class BrokenSource: ParameterSource {
    private let name: String
    private let seeded: SeededInitialiser

    init(name: String, device: Device) {
        (self.name, seeded) = (name, SeededInitialiser(seed: 5, device: device, deviation: 0.3))
    }

    func parameter(_ description: ParameterDescription) -> Parameter {
        let parameter = seeded.parameter(description)
        guard description.name == name, var values = parameter.value?.values else { return parameter }
        values[0] = .nan
        return Parameter(description, value: Tensor(values, shape: description.shape))
    }

    func packed(_ parameter: Parameter) -> PackedMatrix? { seeded.packed(parameter) }
    func decoded(_ parameter: Parameter) -> Parameter { seeded.decoded(parameter) }
}
