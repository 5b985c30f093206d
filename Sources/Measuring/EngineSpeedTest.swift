package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletServing
package import MartletTensors

/// A speed test of an engine that writes several texts at once on this machine: whole requests, prompts included, with
/// their own sampling.
package struct EngineSpeedTest: Sendable {
    /// The times and counts of `streams` requests at once.
    package struct Result: Sendable {
        package let streams: Int
        /// The seconds from the first request to the last token.
        package let seconds: Double
        /// The numbers of tokens that were read and written in all.
        package let readTokens, writtenTokens: Int
        /// The times to first token (TTFT) of each request, in seconds, ascending.
        package let firstTokens: [Double]
        /// The inter-token latencies of all requests, in seconds between tokens that follow one another, ascending.
        package let gaps: [Double]
        /// The decode throughput in tokens per second, from the last first token to the first last token: while all of
        /// them write.
        package let decode: Double
        /// The numbers of tokens that were guessed by a draft model, and of those that were right.
        package let guessedTokens, acceptedTokens: Int
        /// The most bytes that keys and values have taken since the test was made.
        package let cacheBytes: Int

        /// The value that `share` of `values`, which ascend, do not exceed.
        package static func percentile(_ share: Double, _ values: [Double]) -> Double {
            guard !values.isEmpty else { return 0 }
            let place = Int((share * Double(values.count)).rounded(.up)) - 1
            return values[min(values.count - 1, max(0, place))]
        }
    }

    private let engine: Engine
    private let vocabulary: Int

    /// - Throws: ``GenerationError`` for a model that does not continue texts, or options that cannot be served.
    package init(
        _ decoder: Decoder, _ options: EngineOptions, draft: Decoder? = nil, on device: Device
    ) throws(GenerationError) {
        engine = try Engine(decoder, options, draft: draft, on: device)
        vocabulary = decoder.architecture.vocabulary
    }

    /// `streams` requests at once, of `prompt` tokens each that have no beginning in common, continued by `generate`
    /// tokens.
    ///
    /// - Parameter guesses: whether what follows is guessed by prompt look-up.
    /// - Throws: ``EngineError`` for requests that cannot be served.
    package func run(
        streams: Int, prompt: Int, generate: Int, sampling: Sampling, guesses: Bool = false
    ) async throws -> Result {
        let (began, before) = (ContinuousClock.now, engine.metrics)
        let instants = try await withThrowingTaskGroup(of: [ContinuousClock.Instant].self) { group in
            for number in 0..<streams {
                var request = EngineRequest(
                    tokens: tokens(prompt, number: number), maximumTokens: generate, sampling: sampling)
                request.sampling.seed = UInt64(number)
                request.guesses = guesses
                let stream = try engine.submit(request)
                group.addTask {
                    var instants: [ContinuousClock.Instant] = []
                    for try await _ in stream { instants.append(.now) }
                    return instants
                }
            }
            return try await group.reduce(into: [[ContinuousClock.Instant]]()) { $0.append($1) }
        }
        // The last step has told its reader before it tells its numbers.
        while engine.metrics.running > 0 { await Task.yield() }
        let after = engine.metrics
        return result(
            instants, began: began, prompt: prompt, guessed: after.draftedTokens - before.draftedTokens,
            accepted: after.acceptedTokens - before.acceptedTokens)
    }

    private func result(
        _ instants: [[ContinuousClock.Instant]], began: ContinuousClock.Instant, prompt: Int, guessed: Int,
        accepted: Int
    ) -> Result {
        let gaps = instants.flatMap { zip($0.dropFirst(), $0).map { ($0 - $1).seconds } }
        let end = instants.compactMap(\.last).max() ?? began
        let (from, to) = (instants.compactMap(\.first).max() ?? began, instants.compactMap(\.last).min() ?? began)
        let between = instants.joined().count { $0 > from && $0 <= to }
        return Result(
            streams: instants.count, seconds: (end - began).seconds, readTokens: instants.count * prompt,
            writtenTokens: instants.reduce(0) { $0 + $1.count },
            firstTokens: instants.compactMap { $0.first.map { ($0 - began).seconds } }.sorted(),
            gaps: gaps.sorted(), decode: to > from ? Double(between) / (to - from).seconds : 0,
            guessedTokens: guessed, acceptedTokens: accepted, cacheBytes: engine.metrics.cacheBytes)
    }

    // MARK: What others cost

    /// Seconds to the first token of a request of `prefix` tokens and 40 of its own, and of the next one that begins
    /// with the same.
    ///
    /// - Parameter number: of a prefix that no other measurement has.
    /// - Throws: ``EngineError`` for requests that cannot be served.
    package func firstTokens(prefix: Int, number: Int) async throws -> (alone: Double, shared: Double) {
        let beginning = tokens(prefix, number: number)
        var seconds: [Double] = []
        for own in 1...2 {
            var request = EngineRequest(
                tokens: beginning + tokens(40, number: number * 3 + own + 1_000), maximumTokens: 1)
            request.namespace = 1
            let began = ContinuousClock.now
            for try await _ in try engine.submit(request) {}
            seconds.append((ContinuousClock.now - began).seconds)
        }
        return (seconds[0], seconds[1])
    }

    /// Seconds between the tokens of `streams` texts while a prompt of `prompt` tokens is read, ascending, and how long
    /// it was read.
    ///
    /// - Throws: ``EngineError`` for requests that cannot be served.
    package func gaps(of streams: Int, beside prompt: Int) async throws -> (gaps: [Double], reading: Double) {
        let before = engine.metrics.firstTokens
        let texts = try (0..<streams).map { number in
            try engine.submit(EngineRequest(tokens: tokens(16, number: number), maximumTokens: 1 << 20))
        }
        let readers = texts.map { text in
            Task { () -> [ContinuousClock.Instant] in
                var instants: [ContinuousClock.Instant] = []
                do { for try await _ in text { instants.append(.now) } } catch is CancellationError {}
                return instants
            }
        }
        while engine.metrics.firstTokens - before < streams { try await Task.sleep(for: .milliseconds(1)) }
        let began = ContinuousClock.now
        for try await _ in try engine.submit(EngineRequest(tokens: tokens(prompt, number: streams), maximumTokens: 1)) {
        }
        let ended = ContinuousClock.now
        for text in texts { text.cancel() }
        var gaps: [Double] = []
        for reader in readers {
            let instants = try await reader.value.filter { $0 >= began && $0 <= ended }
            gaps += zip(instants.dropFirst(), instants).map { ($0 - $1).seconds }
        }
        while engine.metrics.running > 0 { await Task.yield() }
        return (gaps.sorted(), (ended - began).seconds)
    }

    private func tokens(_ count: Int, number: Int) -> [Int32] {
        (0..<count).map { Int32(($0 * 7_919 + number * 104_729 + 13) % vocabulary) }
    }
}
