import CMartletKernels
import MartletPlatform
import Testing

extension KernelTests {
    /// Element-wise operations, norms, softmax, rotary positions, random numbers.
    @Suite struct Elements {
        static let counts = [0, 1, 2, 15, 16, 17, 31, 33, 100, 257]

        @Test func activations() {
            let names: [(martlet_activation, @Sendable (Double) -> Double)] = [
                (MARTLET_RELU, { max($0, 0) }), (MARTLET_SILU, { $0 / (1 + exp(-$0)) }),
                (MARTLET_GELU, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }),
                (
                    MARTLET_GELU_TANH,
                    { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
                ),
                (MARTLET_GELU_SIGMOID, { $0 / (1 + exp(-1.702 * $0)) }),
                (MARTLET_RELU_SQUARED, { max($0, 0) * max($0, 0) }),
                (MARTLET_TANH, { tanh($0) }), (MARTLET_SIGMOID, { 1 / (1 + exp(-$0)) }),
            ]
            let x = (-4000...4000).map { Float($0) / 200 } + [0, -0.0, 1e-20, -1e-20, 88, -88]
            for (activation, reference) in names {
                let y = sameAtEachLevel("activation \(activation.rawValue)") {
                    var y = [Float](repeating: .nan, count: x.count)
                    unsafe martlet_activate(activation, x, &y, x.count)
                    return y
                }
                for (x, y) in zip(x, y) {
                    let expected = reference(Double(x))
                    // Relative, but where 1 + f(x) cancels only as exact as that sum.
                    #expect(
                        abs(Double(y) - expected) <= 4e-7 * abs(expected) + 1e-7 * abs(Double(x)),
                        "\(activation.rawValue)(\(x))")
                }
            }
        }

        @Test func tailsEqualWholeVectors() {
            var random = TestRandom(1)
            let x = random.floats(64, -6...6)
            for (_, whole) in atEachLevel({ activated(x) }) {
                for count in Self.counts where count <= x.count {
                    #expect(bits(activated(Array(x[..<count]))) == bits(Array(whole[..<count])))
                }
            }
        }

        @Test func specialValues() {
            let x: [Float] = [.nan, .infinity, -.infinity, 1e30, -1e30]
            for (_, result) in atEachLevel({ [activated(x, MARTLET_SIGMOID), activated(x, MARTLET_TANH)] }) {
                #expect(result[0][0].isNaN && result[1][0].isNaN)
                #expect(result[0][1...] == [1, 0, 1, 0] && result[1][1...] == [1, -1, 1, -1])
            }
        }

        @Test func gateIsTheActivationTimesUp() {
            var random = TestRandom(2)
            let (gate, up) = (random.floats(83), random.floats(83))
            let y = sameAtEachLevel("gate") {
                var y = gate
                unsafe martlet_gate(MARTLET_SILU, gate, up, &y, 83)
                return y
            }
            #expect(bits(y) == bits(zip(activated(gate), up).map { $0 * $1 }))
        }

        @Test(arguments: counts) func arithmetic(_ count: Int) {
            var random = TestRandom(UInt64(count))
            let (a, b) = (random.floats(count), random.floats(count))
            let results = sameAtEachLevel("arithmetic") {
                var (sum, product, scaled, capped) = (a, a, a, a)
                unsafe martlet_add(a, b, &sum, count)
                unsafe martlet_multiply(a, b, &product, count)
                unsafe martlet_scale(a, 3, &scaled, count)
                unsafe martlet_soft_cap(a, 1.5, &capped, count)
                return sum + product + scaled + capped
            }
            let exact = zip(a, b).map { $0 + $1 } + zip(a, b).map { $0 * $1 } + a.map { $0 * 3 }
            #expect(bits(Array(results[..<(3 * count)])) == bits(exact))
            for (x, y) in zip(a, results[(3 * count)...]) {
                #expect(abs(Double(y) - 1.5 * tanh(Double(x) / 1.5)) < 3e-7)
            }
        }

        @Test func biasIsAddedToEachRow() {
            var random = TestRandom(3)
            let (x, bias) = (random.floats(3 * 19), random.floats(19))
            let y = sameAtEachLevel("bias") {
                var y = x
                unsafe martlet_add_bias(x, bias, &y, 3, 19)
                return y
            }
            #expect(bits(y) == bits(x.indices.map { x[$0] + bias[$0 % 19] }))
        }

        @Test(arguments: counts.dropFirst()) func norms(_ width: Int) {
            var random = TestRandom(UInt64(width))
            let (x, weight, bias) = (random.floats(3 * width), random.floats(width), random.floats(width))
            let y = sameAtEachLevel("norms") {
                var (root, layer) = (x, x)
                unsafe martlet_rms_norm(root, weight, 1, 1e-5, &root, 3, width)
                unsafe martlet_layer_norm(layer, weight, bias, 1e-5, &layer, 3, width)
                return root + layer
            }
            for row in 0..<3 {
                let values = x[row * width..<(row + 1) * width].map(Double.init)
                let square = values.reduce(0) { $0 + $1 * $1 } / Double(width)
                let mean = values.reduce(0, +) / Double(width)
                let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
                for i in 0..<width {
                    let root = values[i] / (square + 1e-5).squareRoot() * (Double(weight[i]) + 1)
                    let layer =
                        (values[i] - mean) / (variance + 1e-5).squareRoot() * Double(weight[i]) + Double(bias[i])
                    #expect(abs(Double(y[row * width + i]) - root) < 4e-6)
                    #expect(abs(Double(y[(3 + row) * width + i]) - layer) < (width == 1 ? 1e-3 : 1e-5))
                }
            }
        }

        @Test func layerNormWithoutWeightAndBias() {
            let y = sameAtEachLevel("plain layer norm") {
                var y: [Float] = [1, 2, 3, 4]
                unsafe martlet_layer_norm(y, nil, nil, 0, &y, 1, 4)
                return y
            }
            for (y, expected) in zip(y, [-1.3416407, -0.4472136, 0.4472136, 1.3416407] as [Float]) {
                #expect(abs(y - expected) < 1e-6)
            }
        }

        @Test(arguments: counts.dropFirst()) func softmax(_ width: Int) {
            var random = TestRandom(UInt64(width))
            let x = random.floats(2 * width, -9...9)
            let y = sameAtEachLevel("softmax") {
                var y = x
                unsafe martlet_softmax(y, &y, 2, width)
                return y
            }
            for row in 0..<2 {
                let values = x[row * width..<(row + 1) * width].map { exp(Double($0)) }
                let total = values.reduce(0, +)
                for i in 0..<width { #expect(abs(Double(y[row * width + i]) - values[i] / total) < 3e-7) }
            }
        }

        @Test func softmaxOfHiddenRows() {
            let y = sameAtEachLevel("hidden") {
                var y: [Float] = [-.infinity, -.infinity, -.infinity, 1000, 1000, -.infinity]
                unsafe martlet_softmax(y, &y, 2, 3)
                return y
            }
            #expect(y == [0, 0, 0, 0.5, 0.5, 0])
        }

        @Test func argmax() {
            let cases: [([Float], Int)] = [
                ([], 0), ([3], 0), ([1, 3, 3, 2], 1), ([.nan, 1], 1), ([.nan, .nan], 0), ([-.infinity, -.infinity], 0),
                ([.nan, -.infinity], 1), (Array(repeating: 0, count: 40) + [1] + Array(repeating: 1, count: 20), 40),
                ((0..<100).map { Float($0 % 50) }, 49),
            ]
            for (values, expected) in cases {
                for (_, index) in atEachLevel({ unsafe martlet_argmax(values, values.count) }) {
                    #expect(index == expected)
                }
            }
        }

        @Test(arguments: [0, 1, 15, 16, 17, 100, 1_003]) func theLargest(_ count: Int) {
            var random = TestRandom(UInt64(count))
            var x = random.floats(count).map { ($0 * 20).rounded() / 20 }
            for index in stride(from: 3, to: count, by: 11) { x[index] = index % 2 == 0 ? .nan : -.infinity }
            let descending = x.indices.filter { x[$0] > -.infinity }.sorted {
                x[$0] > x[$1] || (x[$0] == x[$1] && $0 < $1)
            }
            for wanted in [0, 1, 5, 40] {
                for (_, found) in atEachLevel({
                    var indices = [UInt32](repeating: 0, count: wanted + 1)
                    let found = unsafe martlet_largest(x, count, wanted, &indices)
                    return indices.prefix(found).map { Int($0) }
                }) {
                    #expect(found == Array(descending.prefix(wanted)))
                }
            }
        }

        @Test(arguments: [1, 15, 16, 33, 1_003]) func exponentialSums(_ count: Int) {
            var random = TestRandom(UInt64(count))
            let x = random.floats(count, -9...9) + [-.infinity]
            let parts = sameAtEachLevel("sum") {
                var largest: Float = 0
                let sum = unsafe martlet_exponential_sum(x, x.count, &largest)
                return [sum, largest]
            }
            let (sum, largest) = (parts[0], parts[1])
            #expect(largest == x.max())
            let expected = x.reduce(0) { $0 + exp(Double($1) - Double(largest)) }
            #expect(abs(Double(sum) - expected) < 2e-6 * expected)
            var none: Float = 0
            #expect(unsafe martlet_exponential_sum([-.infinity, -.infinity], 2, &none) == 0 && none == -.infinity)
        }

        @Test(arguments: [(8, 8), (8, 4), (64, 64), (80, 40), (34, 34)]) func rotation(
            _ headWidth: Int, _ rotaryWidth: Int
        ) {
            var random = TestRandom(UInt64(headWidth))
            let (rows, heads, half) = (3, 2, rotaryWidth / 2)
            let x = random.floats(rows * heads * headWidth)
            let angles = random.floats(rows * half, -3...3)
            for neighbours in [false, true] {
                let y = sameAtEachLevel("rotation") {
                    var y = x
                    unsafe martlet_rotate(
                        &y, rows, heads, headWidth, rotaryWidth, neighbours, angles.map { cos($0) },
                        angles.map { sin($0) })
                    return y
                }
                for head in 0..<rows * heads {
                    let base = head * headWidth
                    for i in 0..<half {
                        let angle = Double(angles[head / heads * half + i])
                        let (a, b) = neighbours ? (base + 2 * i, base + 2 * i + 1) : (base + i, base + i + half)
                        let (first, second) = (Double(x[a]), Double(x[b]))
                        let turned = (
                            first * cos(angle) - second * sin(angle), second * cos(angle) + first * sin(angle)
                        )
                        #expect(abs(Double(y[a]) - turned.0) < 1e-6)
                        #expect(abs(Double(y[b]) - turned.1) < 1e-6)
                    }
                    #expect(
                        y[(base + rotaryWidth)..<(base + headWidth)] == x[(base + rotaryWidth)..<(base + headWidth)])
                }
            }
        }

        /// The known answers of the Random123 distribution for philox4x32-10.
        @Test func philoxKnownAnswers() {
            #expect(philox(0, 0, 0) == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
            #expect(philox(.max, .max, .max) == [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD])
            #expect(
                philox(0x299F_31D0_A409_3822, 0x85A3_08D3_243F_6A88, 0x0370_7344_1319_8A2E)
                    == [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1])
        }

        private func philox(_ key: UInt64, _ low: UInt64, _ high: UInt64) -> [UInt32] {
            var words: [UInt32] = [0, 0, 0, 0]
            unsafe martlet_philox(key, low, high, &words)
            return words
        }

        private func activated(_ x: [Float], _ activation: martlet_activation = MARTLET_SILU) -> [Float] {
            var y = x
            unsafe martlet_activate(activation, x, &y, x.count)
            return y
        }
    }
}
