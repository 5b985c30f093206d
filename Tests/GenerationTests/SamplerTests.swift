import MartletGeneration
import MartletPlatform
import MartletTensors
import Testing

@Suite struct SamplerTests {
    /// The frequency of each token among 20,000 draws.
    func frequencies(_ logits: [Float], _ sampling: Sampling, allowing mask: TokenMask? = nil) -> [Double] {
        let sampler = Sampler(sampling)
        var counts = [Double](repeating: 0, count: logits.count)
        let tensor = Tensor(logits, shape: [logits.count])
        for position in 0..<20_000 { counts[Int(sampler.next(tensor, position: position, allowing: mask))] += 1 }
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
        // The entropy is 1.75 bits; the surprises are 1, 2, 3 and 3.
        #expect(close(frequencies(logits, Sampling(temperature: 1, typicalP: 0.2)), [0, 1, 0, 0]))
        #expect(close(frequencies(logits, Sampling(temperature: 1, typicalP: 0.7)), two))
    }

    /// As transformers' EpsilonLogitsWarper and EtaLogitsWarper keep them, of probabilities 16, 8, 4, 4, 2 and 1 of 35.
    @Test(arguments: [
        (0.05, 0, [16, 8, 4, 4, 2, 0]), (0.1, 0, [16, 8, 4, 4, 0, 0]), (0.6, 0, [16, 0, 0, 0, 0, 0]),
        (0, 0.02, [16, 8, 4, 4, 2, 1]), (0, 0.05, [16, 8, 4, 4, 2, 0]), (0, 0.2, [16, 8, 4, 4, 0, 0]),
        // What epsilon leaves, eta measures anew.
        (0.1, 0.2, [16, 8, 0, 0, 0, 0]), (0.2, 0.9, [16, 0, 0, 0, 0, 0]),
    ]) func cutoffs(_ epsilon: Float, _ eta: Float, _ kept: [Int]) {
        let logits: [Float] = [3, 2, 1, 1, 0, -1].map { $0 * 0.693_147_2 }
        let sampler = Sampler(Sampling(temperature: 1, epsilonCutoff: epsilon, etaCutoff: eta))
        var probabilities = [Double](repeating: 0, count: 6)
        for (token, probability) in sampler.candidates(Tensor(logits, shape: [6])) {
            probabilities[Int(token)] = probability
        }
        let total = Double(kept.reduce(0, +))
        #expect(zip(probabilities, kept).allSatisfy { abs($0 - Double($1) / total) < 1e-6 })
    }

    @Test func masks() {
        var mask = TokenMask(vocabulary: 4)
        (mask[1], mask[3]) = (true, true)
        #expect(mask.count == 2 && mask.first == 1 && !mask[0] && !mask[4] && !mask[-1])
        let allowed = [0, 0.666_667, 0, 0.333_333]
        for sampling in [
            Sampling(temperature: 1), Sampling(temperature: 1, topK: 3), Sampling(temperature: 1, topP: 0.99),
        ] {
            #expect(close(frequencies(logits, sampling, allowing: mask), allowed))
        }
        let greedy = Sampler(.greedy)
        #expect(greedy.next(Tensor(logits, shape: [4]), position: 0, allowing: mask) == 1)
        let hidden = Tensor([9, -.infinity, 9, .nan], shape: [4])
        #expect(greedy.next(hidden, position: 0, allowing: mask) == 1)
        #expect(TokenMask(vocabulary: 33, allowingAll: true).count == 33)
    }

    @Test func repeatPenaltyDividesPositiveAndMultipliesNegativeLogits() {
        let sampling = Sampling(repeatPenalty: 2)
        #expect(Sampler(sampling, prompt: [0]).next(Tensor([3, 2, -1], shape: [3]), position: 1) == 1)
        #expect(Sampler(sampling, prompt: [2, 2]).next(Tensor([-3, -2, -1.5], shape: [3]), position: 1) == 1)
        var written = Sampler(sampling)
        written.append(0)
        #expect(written.next(Tensor([3, 2, -1], shape: [3]), position: 1) == 1)
    }

    /// OpenAI's: z − presence · (was written) − frequency · (how often); the prompt does not count.
    @Test func presenceAndFrequencyPenalties() {
        let logits = Tensor([3, 2.4, 1], shape: [3])
        var presence = Sampler(Sampling(presencePenalty: 0.5), prompt: [0])
        for _ in 0..<3 { presence.append(0) }
        #expect(presence.next(logits, position: 4) == 0)
        var frequency = Sampler(Sampling(frequencyPenalty: 0.25), prompt: [0])
        for _ in 0..<2 { frequency.append(0) }
        #expect(frequency.next(logits, position: 3) == 0)
        frequency.append(0)
        #expect(frequency.next(logits, position: 4) == 1)
        var both = Sampler(Sampling(presencePenalty: 0.5, frequencyPenalty: 0.11))
        both.append(0)
        #expect(both.next(logits, position: 2) == 1)
    }

    @Test func logitBias() {
        let logits = Tensor([3, 2, -1], shape: [3])
        #expect(Sampler(Sampling(logitBias: [2: 5])).next(logits, position: 0) == 2)
        #expect(Sampler(Sampling(logitBias: [0: -100, 7: 100])).next(logits, position: 0) == 1)
        // The bias comes before the penalty: (3 + 1) / 2 = 2 against 2.5.
        let both = Sampling(repeatPenalty: 2, logitBias: [0: 1, 1: 0.5])
        #expect(Sampler(both, prompt: [0]).next(logits, position: 1) == 1)
        #expect(Sampling(logitBias: [3: 1, -1: .nan]).offences(vocabulary: 3).count == 3)
    }

    @Test func aSeedRepeatsItself() {
        let flat = Tensor([Float](repeating: 0, count: 1_000), shape: [1_000])
        func draws(_ seed: UInt64) -> [Int32] {
            let sampler = Sampler(Sampling(temperature: 1, seed: seed))
            return (0..<50).map { sampler.next(flat, position: $0) }
        }
        #expect(draws(1) == draws(1))
        #expect(draws(1) != draws(2))
        #expect(Set(draws(1)).count > 40)
    }

    @Test func numbersThatAreNone() {
        let sampler = Sampler(Sampling(temperature: 1))
        #expect(sampler.next(Tensor([.nan, 1, .nan, -.infinity], shape: [4]), position: 0) == 1)
        let greedy = Sampler(.greedy)
        #expect(greedy.next(Tensor([.nan, 1, 2, .nan], shape: [4]), position: 0) == 2)
        #expect(sampler.next(Tensor([.nan, .nan], shape: [2]), position: 0) == 0)
        #expect(sampler.next(Tensor([1, .infinity, .infinity], shape: [3]), position: 3) == 1)
    }

    /// The candidates are exactly those that sorting everything keeps.
    @Test func largeVocabularies() {
        let noise = Random(seed: 9).normals(50_000, deviation: 3)
        let order = noise.indices.sorted { noise[$0] > noise[$1] }
        let tensor = Tensor(noise, shape: [50_000])
        for count in [1, 40, 256, 257, 3_000] {
            let sampler = Sampler(Sampling(temperature: 1, topK: count))
            let allowed = Set(order.prefix(count).map { Int32($0) })
            #expect(Set(sampler.candidates(tensor).map(\.token)) == allowed)
            #expect((0..<100).allSatisfy { allowed.contains(sampler.next(tensor, position: $0)) })
        }
    }

    @Test func aBatchIsItsRows() throws {
        let device = Device(threads: 2)
        let values = Random(seed: 3).normals(5 * 777, deviation: 4)
        let logits = device.tensor(values, shape: [5, 777])
        let rows = (0..<5).map { row in
            SamplingRow(
                Sampler(Sampling(temperature: row == 0 ? 0 : 1, topK: row * 10, seed: UInt64(row))), position: row + 7,
                mask: row == 3 ? TokenMask(vocabulary: 777, allowingAll: true) : nil, scored: row == 4 ? nil : row)
        }
        var chosen: [SampledToken] = []
        SamplingRow.next(rows, logits, into: &chosen)
        for row in 0..<5 {
            let own = Tensor(Array(values[row * 777..<(row + 1) * 777]), shape: [777])
            #expect(chosen[row] == rows[row].next(own, row: 0))
            let probabilities = device.tensor(own.values, shape: [777]).softmax().values
            guard let scored = rows[row].scored else {
                #expect(chosen[row].logProbability == nil)
                continue
            }
            let score = try #require(chosen[row].logProbability)
            #expect(abs(exp(score) - probabilities[Int(chosen[row].token)]) < 1e-6)
            let best = probabilities.indices.sorted { probabilities[$0] > probabilities[$1] }.prefix(scored)
            #expect(chosen[row].mostProbable.map { Int($0.token) } == Array(best))
        }
    }
}
