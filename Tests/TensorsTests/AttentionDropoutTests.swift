import MartletTensors
import TestSupport
import Testing

/// Attention whose weights are dropped, against the weights themselves and the random words that their places draw.
@Suite struct AttentionDropoutTests {
    private static let rows = 150
    private static let heads = 4

    private static func result(_ dropout: Dropout?, threads: Int) -> (attended: Tensor, weights: Tensor, values: Tensor)
    {
        let device = Device(threads: threads)
        func numbers(_ stream: UInt64, _ heads: Int) -> Tensor {
            let values = Random(seed: 2, stream: stream).normals(rows * heads * 16, deviation: 1)
            return device.tensor(values, shape: [rows, heads, 16])
        }
        let (query, keys, values) = (numbers(0, heads), numbers(1, 2), numbers(2, 2))
        let positions = (0..<rows).map { Int32($0) }
        let span = AttentionSpan(
            rows: 0..<rows, positions: positions, lower: positions.map { max(0, $0 - 100) },
            upper: positions.map { $0 + 1 })
        var rule = ScoreRule(scale: 0.3)
        var memory = BlockTable(keyHeads: 2, headWidth: 16, valueWidth: 16)
        memory.append(keys: keys, values: values, rows: 0..<rows, on: device)
        let weights = query.attentionWeights(to: memory[0], span, rule)
        rule.dropout = dropout
        let part = AttentionPart(span: span, keys: 0..<rows, rule: rule)
        return (query.attention([AttentionSource(keys: keys, values: values)], [part]), weights, values)
    }

    @Test func everyPlaceDrawsItsOwnWord() {
        let dropout = Dropout(share: 0.4, seed: 11, stream: 12)
        let (attended, weights, values) = Self.result(dropout, threads: 2)
        let (random, rows, heads) = (Random(seed: 11, stream: 12), Self.rows, Self.heads)
        var expected = [Float](repeating: 0, count: rows * heads * 16)
        var dropped = 0
        let (w, v) = (weights.values, values.values)
        for row in 0..<rows {
            for head in 0..<heads {
                var sums = [Double](repeating: 0, count: 16)
                for key in max(0, row - 100)...row {
                    let words = random.words(at: UInt64(row * heads + head) << 24 | UInt64(key / 64 * 16 + key % 16))
                    let word = [words.0, words.1, words.2, words.3][key % 64 / 16]
                    guard Double(word) >= Double(Float(0.4)) * 0x1p32 else {
                        dropped += 1
                        continue
                    }
                    let weight = Double(w[(head * rows + row) * rows + key]) / 0.6
                    for i in 0..<16 { sums[i] += weight * Double(v[(key * 2 + head / 2) * 16 + i]) }
                }
                for i in 0..<16 { expected[(row * heads + head) * 16 + i] = Float(sums[i]) }
            }
        }
        let seen = (0..<rows).reduce(0) { $0 + min($1, 100) + 1 } * heads
        #expect(abs(Double(dropped) / Double(seen) - 0.4) < 0.01)
        let comparison = Comparison(attended.values, expected, absolute: 1e-5)
        #expect(comparison.withinTolerance, "\(comparison)")
    }

    @Test func threadsDoNotMatter() {
        let dropout = Dropout(share: 0.4, seed: 11, stream: 12)
        let one = Self.result(dropout, threads: 1).attended.values
        #expect(one == Self.result(dropout, threads: 3).attended.values)
        #expect(one != Self.result(nil, threads: 1).attended.values)
    }
}
