import CMartletKernels
import MartletTensors
import Testing

extension KernelTests {
    /// Products of matrices as they are stored, in every order and type, against the chain that defines them.
    @Suite struct StoredProducts {
        struct Case: CustomTestStringConvertible {
            var rows, columns, steps: Int
            var turned, byColumns, pairs: Bool
            var testDescription: String {
                "\(rows)×\(columns)×\(steps)\(turned ? " turned" : "")\(byColumns ? " by columns" : "")\(pairs ? " bf16" : "")"
            }
        }

        static let cases = [(1, 1, 1), (7, 65, 130), (6, 64, 128), (13, 3, 257), (50, 129, 33), (517, 70, 5)].flatMap {
            size in
            (0..<8).map {
                Case(
                    rows: size.0, columns: size.1, steps: size.2, turned: $0 & 1 > 0, byColumns: $0 & 2 > 0,
                    pairs: $0 & 4 > 0)
            }
        }

        @Test(arguments: cases) func equalTheDefinition(_ form: Case) {
            var random = TestRandom(7)
            let a = random.floats(form.rows * form.steps)
            let b = random.floats(form.columns * form.steps)
            let before = random.floats(form.rows * form.columns)
            let bias = random.floats(form.columns)
            let expected = bits(definition(form, a, b, bias, before))
            for (threads, words) in [(1, false), (3, true)] {
                let found = sameAtEachLevel("stored product") {
                    multiply(form, a, b, bias, before, threads: threads, words: words)
                }
                #expect(bits(found) == expected, "words: \(words)")
            }
        }

        /// Numbers below 2^−126 are zero where products are rounded.
        @Test func tinyNumbersAreFlushed() {
            let form = Case(rows: 8, columns: 17, steps: 9, turned: false, byColumns: false, pairs: true)
            var random = TestRandom(8)
            let a = random.floats(form.rows * form.steps).map { $0 * 0x1p-100 }
            let b = random.floats(form.columns * form.steps).map { $0 * 0x1p-27 }
            let zeros = [Float](repeating: 0, count: form.rows * form.columns)
            let bias = [Float](repeating: 0, count: form.columns)
            for words in [false, true] {
                let found = sameAtEachLevel("tiny numbers") {
                    multiply(form, a, b, bias, zeros, threads: 1, words: words)
                }
                #expect(bits(found) == bits(definition(form, a, b, bias, zeros)), "words: \(words)")
            }
        }

        /// True where words may be asked for: AVX-512 comes with and without them.
        private var hasWords: Bool {
            unsafe String(cString: martlet_processor_features()).contains("avx512bf16")
        }

        private func multiply(
            _ form: Case, _ a: [Float], _ b: [Float], _ bias: [Float], _ before: [Float], threads: Int,
            words: Bool
        ) -> [Float] {
            var y = before
            var product = unsafe martlet_stored_product()
            unsafe (product.a_stride, product.a_turned) = (form.turned ? form.rows : form.steps, form.turned)
            unsafe (product.b_stride, product.b_columns) = (form.byColumns ? form.steps : form.columns, form.byColumns)
            unsafe (product.rows, product.columns, product.steps) = (form.rows, form.columns, form.steps)
            unsafe (product.y_stride, product.accumulate, product.pairs) = (form.columns, true, form.pairs)
            unsafe a.withUnsafeBufferPointer { a in
                unsafe b.withUnsafeBufferPointer { b in
                    unsafe bias.withUnsafeBufferPointer { bias in
                        unsafe y.withUnsafeMutableBufferPointer { y in
                            unsafe (product.a, product.b) = (
                                UnsafeRawPointer(a.baseAddress), UnsafeRawPointer(b.baseAddress)
                            )
                            unsafe (product.bias, product.y) = (
                                bias.baseAddress, UnsafeMutableRawPointer(y.baseAddress)
                            )
                            let items = unsafe martlet_plan_stored_product(&product, threads)
                            let floats = unsafe martlet_stored_product_scratch(&product)
                            unsafe product.words = words && hasWords
                            var scratch = [Float](repeating: .nan, count: floats)
                            unsafe martlet_run_stored_product(&product, 0, items, &scratch)
                        }
                    }
                }
            }
            return y
        }

        private func definition(_ form: Case, _ a: [Float], _ b: [Float], _ bias: [Float], _ before: [Float]) -> [Float]
        {
            func rounded(_ x: Float) -> Float {
                let bits = x.bitPattern
                return Float(bitPattern: (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
            }
            func flushed(_ x: Float) -> Float { x.magnitude < 0x1p-126 ? Float(signOf: x, magnitudeOf: 0) : x }
            var y = before
            for row in 0..<form.rows {
                for column in 0..<form.columns {
                    var sum: Float = 0
                    for index in 0..<(form.pairs ? (form.steps + 1) / 2 * 2 : form.steps) {
                        let step = form.pairs ? index ^ 1 : index
                        guard step < form.steps else {
                            sum = flushed(sum + 0)
                            continue
                        }
                        let left = a[form.turned ? step * form.rows + row : row * form.steps + step]
                        let right = b[form.byColumns ? column * form.steps + step : step * form.columns + column]
                        if form.pairs {
                            sum = flushed(sum.addingProduct(flushed(rounded(left)), flushed(rounded(right))))
                        } else {
                            sum = sum.addingProduct(left, right)
                        }
                    }
                    y[row * form.columns + column] = (sum + bias[column]) + before[row * form.columns + column]
                }
            }
            return y
        }
    }
}
