import MartletGeneration
import MartletLayers
import MartletModels
import MartletServing
import MartletTensors
import TestSupport
import Testing

/// Texts that are sampled with guesses are distributed as the model says: Pearson's χ² over all texts of four tokens
/// that three candidates a token allow, against the products of the sampler's own probabilities.
@Suite struct SpeculationDistributionTests {
    private static let architecture = TinyArchitectures.decoder()
    /// Of three tokens, so that texts of four are few.
    private static let sampling = Sampling(temperature: 1.5, topK: 3, logitBias: [0: 50, 1: 50, 2: 50])
    /// Every pair of them has occurred, so that look-up always guesses.
    private static let prompt = (0..<4).flatMap { _ in [0, 0, 1, 0, 2, 1, 1, 2, 2] as [Int32] }
    private static let length = 4
    private static let texts = 3_000

    private static func decoder(deviation: Float, on device: Device) throws -> Decoder {
        try Decoder(architecture, Scope(SeededInitialiser(seed: 5, device: device, deviation: deviation)))
    }

    /// Every text that can come, and how probable it is.
    private static func probabilities(_ decoder: Decoder, on device: Device) throws -> [[Int32]: Double] {
        let steps = try StepEngine(decoder, on: device)
        let sampler = Sampler(sampling)
        var texts: [[Int32]: Double] = [[]: 1]
        for _ in 0..<length {
            var longer: [[Int32]: Double] = [:]
            for (text, probability) in texts {
                var cache = steps.cache(sequences: 1)
                let tokens = prompt + text
                let rows = tokens.enumerated().map { position, token in
                    StepRow(token: token, position: position, isWanted: position + 1 == tokens.count)
                }
                let logits = try #require(steps.logits(rows, &cache))
                for (token, share) in sampler.candidates(logits) { longer[text + [token]] = probability * share }
            }
            texts = longer
        }
        return texts
    }

    /// χ² of `counts` by cells of at least five expected texts, and its degrees of freedom.
    private static func chiSquare(
        _ counts: [[Int32]: Int], _ probabilities: [[Int32]: Double], of total: Int
    ) -> (value: Double, freedom: Int) {
        var (value, cells, rest, restCount) = (0.0, 0, 0.0, 0)
        for (text, probability) in probabilities {
            let (expected, count) = (probability * Double(total), counts[text] ?? 0)
            guard expected >= 5 else {
                rest += expected
                restCount += count
                continue
            }
            value += (Double(count) - expected) * (Double(count) - expected) / expected
            cells += 1
        }
        if rest >= 5 {
            value += (Double(restCount) - rest) * (Double(restCount) - rest) / rest
            cells += 1
        }
        return (value, cells - 1)
    }

    /// The value that χ² exceeds once in a thousand times: Wilson and Hilferty's approximation.
    private static func bound(_ freedom: Int) -> Double {
        let share = 2 / (9 * Double(freedom))
        let root = 1 - share + 3.09 * share.squareRoot()
        return Double(freedom) * root * root * root
    }

    private enum Way: CaseIterable, Sendable { case plain, lookup, nearDraft, farDraft }

    @Test(arguments: Way.allCases) private func sampledTextsAreDistributedAsTheModelSays(way: Way) async throws {
        let device = Device(threads: 1)
        let decoder = try Self.decoder(deviation: 0.3, on: device)
        let expected = try Self.probabilities(decoder, on: device)
        #expect(expected.count == 81 && abs(expected.values.reduce(0, +) - 1) < 1e-9)
        let draft: Decoder? =
            switch way {
            case .plain, .lookup: nil
            case .nearDraft: try Self.decoder(deviation: 0.302, on: device)
            case .farDraft: try Self.decoder(deviation: 0.2, on: device)
            }
        var options = EngineOptions()
        options.guesses = 3
        let engine = try Engine(decoder, options, draft: draft, on: device)
        var counts: [[Int32]: Int] = [:]
        for seed in 0..<Self.texts {
            var request = EngineRequest(tokens: Self.prompt, maximumTokens: Self.length, sampling: Self.sampling)
            (request.sampling.seed, request.guesses, request.namespace) = (UInt64(seed), way == .lookup, 0)
            counts[try await EngineTests.read(try engine.submit(request)), default: 0] += 1
        }
        let metrics = engine.metrics
        if way != .plain { #expect(metrics.draftedTokens > Self.texts && metrics.acceptedTokens > 100) }
        if way != .plain { #expect(metrics.acceptedTokens < metrics.draftedTokens) }
        #expect(counts.keys.allSatisfy { expected[$0] != nil })
        let (value, freedom) = Self.chiSquare(counts, expected, of: Self.texts)
        #expect(freedom > 20 && value < Self.bound(freedom), "χ² of \(way) is \(value) with \(freedom)")
    }
}
