import MartletTensors
import Testing

/// Gradients of attention over more keys than one segment holds.
@Suite struct AttentionGradientTests {
    private static let (rows, width) = (1_100, 16)

    /// d(Σ attention · weights) for queries, keys and values of one sequence with one key head.
    private func gradients(threads: Int, _ values: [[Float]], type: ElementType = .f32) -> [[Float]] {
        let device = Device(threads: threads)
        let shape: Shape = [Self.rows, 1, Self.width]
        let shapes = [shape, shape, shape]
        let sums = Gradients(shapes, on: device)
        let leaves = (0..<3).map { device.tensor(values[$0], shape: shape).tracked(by: GradientNode(leaf: $0, shape)) }
        let operands = type == .bf16 ? leaves.map { $0.asBFloat16() } : leaves
        let indices = 0..<Int32(Self.rows)
        let span = AttentionSpan(
            rows: 0..<Self.rows, positions: Array(indices), lower: indices.map { _ in 0 }, upper: indices.map { $0 + 1 }
        )
        let part = AttentionPart(span: span, keys: 0..<Self.rows, rule: ScoreRule(scale: 0.25))
        let attended = operands[0].attention([AttentionSource(keys: operands[1], values: operands[2])], [part])
        (attended.asFloat() * device.tensor(values[3], shape: shape)).backward(into: sums)
        return (0..<3).map { sums[$0].values }
    }

    private var operands: [[Float]] {
        var random = TestRandom(5)
        return (0..<4).map { _ in random.floats(Self.rows * Self.width, -1...1) }
    }

    @Test func equalTheirDefinition() {
        let values = operands
        let found = gradients(threads: 2, values)
        let expected = definition(values.map { $0.map(Double.init) })
        for (a, b) in zip(found, expected) {
            let largest = b.reduce(0) { max($0, abs($1)) }
            #expect(zip(a, b).allSatisfy { abs(Double($0) - $1) < 1e-5 * largest })
        }
    }

    @Test(arguments: [ElementType.f32, .bf16]) func haveTheSameBitsForAnyThreads(_ type: ElementType) {
        let values = operands
        let alone = gradients(threads: 1, values, type: type)
        for threads in [2, 3, 5] { #expect(gradients(threads: threads, values, type: type) == alone) }
    }

    private func definition(_ x: [[Double]]) -> [[Double]] {
        let (rows, width) = (Self.rows, Self.width)
        var result = Array(repeating: [Double](repeating: 0, count: rows * width), count: 3)
        func product(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
            (0..<width).reduce(0) { $0 + a[i * width + $1] * b[j * width + $1] }
        }
        for i in 0..<rows {
            let scores = (0...i).map { product(x[0], i, x[1], $0) * 0.25 }
            let highest = scores.max() ?? 0
            let powers = scores.map { Float($0 - highest).exponential }
            let total = powers.reduce(0, +)
            let slopes = (0...i).map { product(x[3], i, x[2], $0) }
            let mean = zip(powers, slopes).reduce(0) { $0 + $1.0 / total * $1.1 }
            for j in 0...i {
                let share = powers[j] / total
                let slope = share * (slopes[j] - mean) * 0.25
                for c in 0..<width {
                    result[0][i * width + c] += slope * x[1][j * width + c]
                    result[1][j * width + c] += slope * x[0][i * width + c]
                    result[2][j * width + c] += share * x[3][i * width + c]
                }
            }
        }
        return result
    }
}

extension Float {
    /// e to this, in double precision: 2^n times a series.
    fileprivate var exponential: Double {
        let x = Double(self)
        let whole = (x / 0.6931471805599453).rounded()
        let rest = x - whole * 0.6931471805599453
        var (term, sum) = (1.0, 1.0)
        for n in 1...20 {
            term *= rest / Double(n)
            sum += term
        }
        return sum * Double(sign: .plus, exponent: Int(whole), significand: 1)
    }
}
