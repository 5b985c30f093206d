import MartletGeneration
import MartletTensors
import Testing

@Suite struct SamplerTests {
    /// How often each token is drawn in 20,000 draws.
    func frequencies(_ logits: [Float], _ sampling: Sampling, history: [Int32] = []) -> [Double] {
        var sampler = Sampler(sampling)
        var counts = [Double](repeating: 0, count: logits.count)
        let tensor = Tensor(logits, shape: [logits.count])
        for _ in 0..<20_000 { counts[Int(sampler.next(tensor, history: history))] += 1 }
        return counts.map { $0 / 20_000 }
    }

    func close(_ a: [Double], _ b: [Double]) -> Bool {
        zip(a, b).allSatisfy { abs($0 - $1) < 0.015 } && a.count == b.count
    }

    // Probabilities 0.5, 0.25, 0.125, 0.125.
    let logits: [Float] = [3, 2, 1, 1].map { $0 * 0.693_147_2 }

    @Test func drawsFollowTheProbabilities() {
        #expect(close(frequencies(logits, Sampling(temperature: 1, seed: 1)), [0.5, 0.25, 0.125, 0.125]))
        // Half the temperature squares the ratios: 16 : 4 : 1 : 1.
        let squared = [16, 4, 1, 1].map { Double($0) / 22 }
        #expect(close(frequencies(logits, Sampling(temperature: 0.5, seed: 1)), squared))
    }

    @Test func restrictions() {
        let two = [0.666_667, 0.333_333, 0, 0]
        #expect(close(frequencies(logits, Sampling(temperature: 1, topK: 2)), two))
        #expect(close(frequencies(logits, Sampling(temperature: 1, topP: 0.7)), two))
        #expect(close(frequencies(logits, Sampling(temperature: 1, topP: 0.1)), [1, 0, 0, 0]))
        #expect(close(frequencies(logits, Sampling(temperature: 1, topP: 0)), [1, 0, 0, 0]))
        #expect(close(frequencies(logits, Sampling(temperature: 1, minP: 0.3)), two))
        // Of equals the lower token stays.
        let three = [0.571_429, 0.285_714, 0.142_857, 0]
        #expect(close(frequencies(logits, Sampling(temperature: 1, topK: 3)), three))
    }

    @Test func repeatPenaltyDividesPositiveAndMultipliesNegativeLogits() {
        var sampler = Sampler(Sampling(repeatPenalty: 2))
        #expect(sampler.next(Tensor([3, 2, -1], shape: [3]), history: [0]) == 1)
        #expect(sampler.next(Tensor([-3, -2, -1.5], shape: [3]), history: [2, 2]) == 1)
    }

    @Test func aSeedRepeatsItself() {
        let flat = Tensor([Float](repeating: 0, count: 1_000), shape: [1_000])
        func draws(_ seed: UInt64) -> [Int32] {
            var sampler = Sampler(Sampling(temperature: 1, seed: seed))
            return (0..<50).map { _ in sampler.next(flat, history: []) }
        }
        #expect(draws(1) == draws(1))
        #expect(draws(1) != draws(2))
        #expect(Set(draws(1)).count > 40)
    }

    @Test func numbersThatAreNone() {
        var sampler = Sampler(Sampling(temperature: 1))
        #expect(sampler.next(Tensor([.nan, 1, .nan, -.infinity], shape: [4]), history: []) == 1)
        var greedy = Sampler(.greedy)
        #expect(greedy.next(Tensor([.nan, 1, 2, .nan], shape: [4]), history: []) == 2)
    }

    /// The shortcut for large vocabularies keeps exactly what sorting everything keeps.
    @Test func largeVocabularies() {
        let noise = Random(seed: 9).normals(50_000, deviation: 3)
        let order = noise.indices.sorted { noise[$0] > noise[$1] }
        let tensor = Tensor(noise, shape: [50_000])
        var sampler = Sampler(Sampling(temperature: 1, topK: 40))
        let allowed = Set(order.prefix(40).map { Int32($0) })
        #expect((0..<500).allSatisfy { _ in allowed.contains(sampler.next(tensor, history: [])) })
    }
}
