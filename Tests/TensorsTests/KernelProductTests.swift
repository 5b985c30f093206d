import CMartletKernels
import MartletTensors
import Testing

extension KernelTests {
    /// Products with packed weights.
    @Suite struct Products {
        static let types = ElementType.allCases.filter { $0 != .i32 }

        /// Outputs, blocks (or inputs of plain types), rows.
        static let shapes: [(outputs: Int, length: Int, rows: Int)] = [
            (1, 1, 1), (64, 2, 6), (65, 3, 7), (127, 1, 13), (130, 5, 2), (3, 9, 5), (64, 11, 31), (70, 2, 4),
            (5, 0, 3),
        ]

        @Test(arguments: types) func agreeWithTheDefinition(_ type: ElementType) {
            for (index, shape) in Self.shapes.enumerated() {
                let product = Product(type, shape.outputs, shape.length, shape.rows, seed: UInt64(index))
                let y = sameAtEachLevel("\(type) \(shape)") { product.multiply() }
                product.expectClose(y, "\(type) \(shape)")
            }
        }

        /// Plain types of longer rows than one slice, of odd length.
        @Test(arguments: [ElementType.f32, .f16, .bf16]) func longRows(_ type: ElementType) {
            let product = Product(type, 66, 301, 9, seed: 1)
            product.expectClose(sameAtEachLevel("\(type)") { product.multiply() }, "\(type)")
        }

        /// bf16 weights times activations rounded to bf16, as vdpbf16ps defines them.
        @Test func roundedPairs() {
            for (outputs, length, rows) in [(1, 1, 1), (65, 301, 9), (130, 64, 1), (3, 2, 7)] {
                var product = Product(.bf16, outputs, length, rows, seed: 9)
                product.kind = MARTLET_BF16_PAIRS
                let y = sameAtEachLevel("pairs") { product.multiply() }
                product.expectClose(y, "pairs of \(length)")
                for row in 0..<rows {
                    let alone = product.rowAlone(row).multiply()
                    #expect(bits(alone) == bits(Array(y[row * outputs..<(row + 1) * outputs])))
                }
            }
        }

        /// The instruction takes numbers below 2^−126 for zero; so must its imitations.
        @Test func roundedPairsFlushTinyNumbers() {
            var product = Product(.bf16, 64, 40, 3, seed: 10)
            product.kind = MARTLET_BF16_PAIRS
            product.x = product.x.map { $0 * 0x1p-63 }
            product.stored = encoded(.bf16, decoded(.bf16, product.stored).map { $0 * 0x1p-63 })
            let y = sameAtEachLevel("tiny pairs") { product.multiply() }
            #expect(y.allSatisfy { $0 == 0 || abs($0) >= 0x1p-126 })
        }

        /// More rows than one block of rows.
        @Test func manyRows() {
            for type in [ElementType.f32, .q4_0] {
                let product = Product(type, 3, type == .f32 ? 5 : 1, 300, seed: 2)
                product.expectClose(sameAtEachLevel("\(type)") { product.multiply() }, "\(type)")
            }
        }

        @Test(arguments: types) func eachRowIsItsOwn(_ type: ElementType) {
            let product = Product(type, 100, type.isBlockQuantized ? 3 : 261, 17, seed: 3)
            _ = atEachLevel {
                let together = product.multiply()
                for row in 0..<product.rows {
                    let alone = product.rowAlone(row).multiply()
                    #expect(bits(alone) == bits(Array(together[row * 100..<row * 100 + 100])), "\(type) row \(row)")
                }
            }
        }

        /// Every number of rows up to 64, by whichever tiles, of weights as they are packed and unpacked: the bits of
        /// one row.
        @Test(arguments: types) func anyNumberOfRows(_ type: ElementType) {
            let product = Product(type, 70, type.isBlockQuantized ? 2 : 131, 64, seed: 11)
            let expected = product.multiply()
            _ = atEachLevel {
                let chosen = martlet_packed_rows(type.kernelType)
                for limit in [chosen, 1, 252] {
                    martlet_set_packed_rows(type.kernelType, limit)
                    for count in 1...64 {
                        let some = product.rows(count).multiply()
                        #expect(bits(some) == bits(Array(expected.prefix(count * 70))), "\(type) \(count) rows")
                    }
                }
                martlet_set_packed_rows(type.kernelType, chosen)
            }
        }

        /// The largest weights times the largest activations, of one sign and of both: no partial sum saturates.
        @Test(arguments: types.filter(\.isBlockQuantized)) func extremesAreExact(_ type: ElementType) {
            let scales = type == .q6_K ? [208] : [.q8_0, .q4_0, .q5_0].contains(type) ? [0] : [0, 2]
            for (fill, period) in [(0xFF, 1), (0x00, 1), (0x80, 1), (0x7F, 1), (0xFF, 2)] as [(UInt8, Int)] {
                var product = Product(type, 64, 2, 13, seed: 12)
                product.stored = product.stored.indices.map { index in
                    let offset = index % type.block.bytes
                    if scales.contains(offset) { return UInt8(truncatingIfNeeded: index / type.block.bytes) }
                    return scales.contains(offset - 1) ? 0x2C : fill
                }
                product.x = product.x.indices.map { $0 % period == 0 ? 1 : -1 }
                _ = sameAtEachLevel("\(type) \(fill)") { product.multiply() }
            }
        }

        @Test(arguments: types) func panelRangesAreIndependent(_ type: ElementType) {
            let product = Product(type, 200, 3, 8, seed: 4)
            let whole = product.multiply()
            var parts = [Float](repeating: -1, count: whole.count)
            for panel in [3, 0, 2, 1] { product.multiply(into: &parts, panels: panel..<panel + 1) }
            #expect(bits(parts) == bits(whole))
        }

        @Test(arguments: [ElementType.f32, .q8_0]) func biasAndAccumulation(_ type: ElementType) {
            var random = TestRandom(5)
            let product = Product(type, 67, 4, 5, seed: 5)
            let bias = random.floats(67)
            let sums = product.multiply()
            var before = random.floats(5 * 67)
            let biased = sums.indices.map { sums[$0] + bias[$0 % 67] }
            let expected = zip(before, biased).map { $0 + $1 }
            #expect(bits(sameAtEachLevel("bias") { product.multiply(bias: bias) }) == bits(biased))
            product.multiply(into: &before, bias: bias, accumulate: true)
            #expect(bits(before) == bits(expected))
        }

        /// Rows of y may stand further apart than they are wide; what lies between is not touched.
        @Test(arguments: types) func stridedOutput(_ type: ElementType) {
            let product = Product(type, 65, 2, 7, seed: 6)
            let dense = product.multiply()
            var strided = [Float](repeating: 9, count: 7 * 80)
            product.multiply(into: &strided, stride: 80)
            for row in 0..<7 {
                #expect(bits(Array(strided[row * 80..<row * 80 + 65])) == bits(Array(dense[row * 65..<row * 65 + 65])))
                #expect(strided[row * 80 + 65..<row * 80 + 80].allSatisfy { $0 == 9 })
            }
        }

        /// A NaN among the activations reaches the outputs of its row, and of no other.
        @Test(arguments: types) func notANumberIsNotLost(_ type: ElementType) {
            var product = Product(type, 3, type.isBlockQuantized ? 2 : 40, 3, seed: 7)
            product.x[product.inputs + 5] = .nan
            for (_, y) in atEachLevel({ product.multiply() }) {
                #expect(y[3..<6].allSatisfy { $0.isNaN })
                #expect((y[0..<3] + y[6..<9]).allSatisfy { $0.isFinite })
            }
        }

        /// q8_0 weights of −128 times activations of the same sign: the largest sum that a narrower product would
        /// saturate.
        @Test func extremeIntegersAreExact() {
            var stored = [UInt8](repeating: 0x80, count: 34)
            (stored[0], stored[1]) = (0x00, 0x3C)
            var product = Product(.q8_0, 1, 1, 2, seed: 8)
            product.stored = stored
            product.x = [Float](repeating: 127, count: 32) + [Float](repeating: -127, count: 32)
            let expected: [Float] = [-520_192, 520_192]  // ±128 · 127 · 32
            let y = sameAtEachLevel("extreme") { product.multiply() }
            #expect(y == expected)
        }

        @Test func packedPanelsTakeTheBytesOfTheRows() {
            for type in Self.types {
                let inputs = 2 * type.blockElements
                #expect(martlet_panel_bytes(type.kernelType, inputs) == 64 * 2 * type.block.bytes)
            }
        }
    }
}

/// One product: stored weights `[outputs, inputs]`, activations `[rows, inputs]`.
private struct Product {
    let type: ElementType
    var kind: martlet_type
    let outputs, inputs, rows: Int
    var stored: [UInt8]
    var x: [Float]

    init(_ type: ElementType, _ outputs: Int, _ length: Int, _ rows: Int, seed: UInt64) {
        var random = TestRandom(seed)
        (self.type, self.outputs, self.rows) = (type, outputs, rows)
        kind = type.kernelType
        inputs = length * type.blockElements
        stored = encoded(type, random.floats(outputs * inputs))
        x = random.floats(rows * inputs)
    }

    func rowAlone(_ row: Int) -> Product {
        var alone = Product(type, 0, inputs / type.blockElements, 1, seed: 0, outputs: outputs, stored: stored)
        alone.kind = kind
        alone.x = Array(x[row * inputs..<(row + 1) * inputs])
        return alone
    }

    /// The first `count` rows alone.
    func rows(_ count: Int) -> Product {
        var some = Product(type, 0, inputs / type.blockElements, count, seed: 0, outputs: outputs, stored: stored)
        some.kind = kind
        some.x = Array(x.prefix(count * inputs))
        return some
    }

    private init(_ type: ElementType, _: Int, _ length: Int, _ rows: Int, seed: UInt64, outputs: Int, stored: [UInt8]) {
        (self.type, self.outputs, self.rows, self.stored) = (type, outputs, rows, stored)
        kind = type.kernelType
        inputs = length * type.blockElements
        x = []
    }

    var panels: Int { (outputs + Int(MARTLET_PANEL) - 1) / Int(MARTLET_PANEL) }

    func multiply(bias: [Float]? = nil) -> [Float] {
        var y = [Float](repeating: .nan, count: rows * outputs)
        multiply(into: &y, bias: bias)
        return y
    }

    func multiply(
        into y: inout [Float], stride: Int? = nil, bias: [Float]? = nil, accumulate: Bool = false,
        panels range: Range<Int>? = nil
    ) {
        let rowBytes = inputs / type.block.elements * type.block.bytes
        let packed = UnsafeMutableRawBufferPointer.allocate(
            byteCount: panels * martlet_panel_bytes(kind, inputs) + 1, alignment: 64)
        let activations = UnsafeMutableRawBufferPointer.allocate(
            byteCount: rows * martlet_activation_bytes(kind, inputs) + 1, alignment: 64)
        defer {
            unsafe packed.deallocate()
            unsafe activations.deallocate()
        }
        unsafe martlet_pack(kind, stored, rowBytes, outputs, inputs, packed.baseAddress, 0, panels)
        unsafe martlet_prepare(kind, x, rows, inputs, activations.baseAddress)
        let range = range ?? 0..<panels
        let call = { (y: inout [Float], bias: UnsafePointer<Float>?) in
            unsafe martlet_matmul(
                kind, packed.baseAddress, outputs, inputs, activations.baseAddress, rows, bias, &y, stride ?? outputs,
                accumulate, range.lowerBound, range.upperBound)
        }
        if let bias {
            unsafe bias.withUnsafeBufferPointer { unsafe call(&y, $0.baseAddress) }
        } else {
            call(&y, nil)
        }
    }

    /// Against a double-precision sum of the decoded weights. The quantized products also round the activations, to
    /// 1/127 of the largest of their block.
    func expectClose(_ y: [Float], _ what: String) {
        let weights = decoded(type, stored)
        for row in 0..<rows {
            for output in 0..<outputs {
                var sum = 0.0, size = 0.0, squares = 0.0
                for k in 0..<inputs {
                    let term = Double(x[row * inputs + k]) * Double(weights[output * inputs + k])
                    (sum, size) = (sum + term, size + abs(term))
                    squares += Double(weights[output * inputs + k]) * Double(weights[output * inputs + k])
                }
                // Each activation is off by at most 1/254 of 2; the errors are independent, so six standard deviations
                // are plenty.
                let exact = kind == MARTLET_BF16_PAIRS ? 0x1p-8 * size : 3e-7 * size
                let rounded = 6 * (2 / 254.0 / 3.0.squareRoot()) * squares.squareRoot()
                let tolerance = type.isBlockQuantized ? rounded : exact
                let difference = abs(Double(y[row * outputs + output]) - sum)
                #expect(difference <= tolerance + 1e-6, "\(what) row \(row) output \(output)")
            }
        }
    }
}
