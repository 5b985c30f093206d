package import MartletGeneration
import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletServing
package import MartletTensors

/// How fast an engine writes several texts at once here: whole requests, prompts included, with their own sampling.
package struct EngineSpeedTest: Sendable {
    /// What `streams` requests at once took.
    package struct Result: Sendable {
        package let streams: Int
        /// From the first request to the last token.
        package let seconds: Double
        /// Tokens that were read and written in all.
        package let readTokens, writtenTokens: Int
        /// Seconds to the first token of each request, ascending.
        package let firstTokens: [Double]
        /// Seconds between tokens that follow one another, of all requests, ascending.
        package let gaps: [Double]
        /// Tokens written a second from the last first token to the first last token: while all of them write.
        package let decode: Double
        /// Tokens that were guessed by a draft model, and those of them that were right.
        package let guessedTokens, acceptedTokens: Int

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
    /// - Throws: ``EngineError`` for requests that cannot be served.
    package func run(streams: Int, prompt: Int, generate: Int, sampling: Sampling) async throws -> Result {
        let (began, before) = (ContinuousClock.now, engine.metrics)
        let instants = try await withThrowingTaskGroup(of: [ContinuousClock.Instant].self) { group in
            for number in 0..<streams {
                let tokens = (0..<prompt).map { Int32(($0 * 7_919 + number * 104_729 + 13) % vocabulary) }
                var request = EngineRequest(tokens: tokens, maximumTokens: generate, sampling: sampling)
                request.sampling.seed = UInt64(number)
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
            guessedTokens: guessed, acceptedTokens: accepted)
    }
}
