import CMartletKernels
import MartletPlatform
import MartletTensors
import Testing

extension KernelTests {
    /// Attention over blocked keys and values.
    @Suite struct Attention {
        static let cases: [AttentionCase] = [
            AttentionCase(rows: 1, keys: 1, keyHeads: 1, group: 1, headWidth: 1, valueWidth: 1),
            AttentionCase(rows: 5, keys: 70, keyHeads: 2, group: 3, headWidth: 8, valueWidth: 8),
            AttentionCase(rows: 13, keys: 129, keyHeads: 1, group: 4, headWidth: 40, valueWidth: 24, window: 50),
            AttentionCase(rows: 50, keys: 200, keyHeads: 1, group: 1, headWidth: 64, valueWidth: 64, cap: 5),
            AttentionCase(rows: 2, keys: 1100, keyHeads: 2, group: 7, headWidth: 16, valueWidth: 80, slopes: true),
            AttentionCase(rows: 9, keys: 600, keyHeads: 1, group: 2, headWidth: 7, valueWidth: 17, bias: true),
            AttentionCase(rows: 3, keys: 1030, keyHeads: 1, group: 1, headWidth: 16, valueWidth: 16, window: 3),
            AttentionCase(rows: 13, keys: 129, keyHeads: 2, group: 4, headWidth: 40, valueWidth: 24, type: .bf16),
            AttentionCase(rows: 2, keys: 600, keyHeads: 1, group: 7, headWidth: 16, valueWidth: 33, type: .f16),
            AttentionCase(rows: 9, keys: 530, keyHeads: 2, group: 2, headWidth: 64, valueWidth: 32, type: .q8_0),
            // Few enough heads that blocks are read as they are kept, in tiles of every height and width.
            AttentionCase(rows: 3, keys: 150, keyHeads: 1, group: 5, headWidth: 40, valueWidth: 48, type: .bf16),
            AttentionCase(rows: 1, keys: 1100, keyHeads: 2, group: 6, headWidth: 64, valueWidth: 112, type: .f16),
            AttentionCase(rows: 2, keys: 300, keyHeads: 2, group: 7, headWidth: 64, valueWidth: 96, type: .q8_0),
            AttentionCase(rows: 1, keys: 130, keyHeads: 2, group: 1, headWidth: 32, valueWidth: 32, type: .q8_0),
            AttentionCase(
                rows: 4, keys: 520, keyHeads: 1, group: 2, headWidth: 96, valueWidth: 160, window: 70, type: .q8_0),
        ]

        @Test(arguments: cases) func agreesWithTheDefinition(_ what: AttentionCase) {
            let problem = AttentionProblem(what)
            let outputs = sameAtEachLevel("\(what)") { problem.attend() }
            let expected = problem.reference()
            for i in expected.indices { #expect(abs(Double(outputs[i]) - expected[i]) < 6e-6, "\(what) at \(i)") }
        }

        @Test(arguments: cases) func segmentsMergedAreTheWhole(_ what: AttentionCase) {
            let problem = AttentionProblem(what)
            for (_, pair) in atEachLevel({ (problem.attend(), problem.attendInSegments()) }) {
                #expect(bits(pair.0) == bits(pair.1), "\(what)")
            }
        }

        @Test(arguments: cases) func eachRowIsItsOwn(_ what: AttentionCase) {
            let problem = AttentionProblem(what)
            for (_, pair) in atEachLevel({ (problem.attend(), problem.attendRowByRow()) }) {
                #expect(bits(pair.0) == bits(pair.1), "\(what)")
            }
        }

        /// A row that sees nothing gives zeros and disturbs no other.
        @Test func emptyRange() {
            var problem = AttentionProblem(Self.cases[1])
            let before = problem.attend()
            (problem.lower[2], problem.upper[2]) = (9, 9)
            let after = sameAtEachLevel("empty") { problem.attend() }
            let stride = problem.outputStride
            #expect(after[2 * stride..<3 * stride].allSatisfy { $0 == 0 })
            let others = { (y: [Float]) in bits(Array(y[..<(2 * stride)])) + bits(Array(y[(3 * stride)...])) }
            #expect(others(after) == others(before))
        }

        /// A bias of −∞ hides a key; when it hides all, the output is zero.
        @Test func infiniteBiasHides() {
            var problem = AttentionProblem(Self.cases[5])
            problem.biases = problem.biases.map { _ in -.infinity }
            #expect(sameAtEachLevel("hidden") { problem.attend() }.allSatisfy { $0 == 0 })
        }

        @Test(arguments: cases.filter { $0.type == .f32 }) func weightsAreTheSoftmax(_ what: AttentionCase) {
            let problem = AttentionProblem(what)
            let weights = sameAtEachLevel("\(what)") {
                problem.weights(row: what.rows - 1, head: what.group - 1, keyHead: 0)
            }
            let expected = problem.referenceWeights(row: what.rows - 1, head: what.group - 1, keyHead: 0)
            for i in expected.indices { #expect(abs(Double(weights[i]) - expected[i]) < 1e-6) }
        }
    }
}

struct AttentionCase: Sendable, CustomStringConvertible {
    let rows, keys, keyHeads, group, headWidth, valueWidth: Int
    var window: Int?
    var cap: Float = 0
    var slopes = false
    var bias = false
    var type = ElementType.f32

    var description: String {
        "\(rows) rows, \(keys) keys, \(keyHeads) × \(group) heads of \(headWidth) and \(valueWidth) as \(type)"
    }
}

/// Causal queries at the end of the keys: row r stands at position keys − rows + r.
private struct AttentionProblem {
    let what: AttentionCase
    let queries, keys, values, slopes: [Float]
    var biases: [Float]
    let positions: [Int32]
    var lower, upper: [Int32]
    let blocks: [[UInt8]]

    var queryStride: Int { what.keyHeads * what.group * what.headWidth }
    var outputStride: Int { what.keyHeads * what.group * what.valueWidth }
    var scale: Float { 1 / Float(what.headWidth).squareRoot() }

    init(_ what: AttentionCase) {
        var random = TestRandom(UInt64(what.keys))
        self.what = what
        queries = random.floats(what.rows * what.keyHeads * what.group * what.headWidth)
        let (plainKeys, plainValues) = (
            random.floats(what.keys * what.keyHeads * what.headWidth),
            random.floats(what.keys * what.keyHeads * what.valueWidth)
        )
        // What the reference computes with is what the blocks hold.
        keys = decoded(what.type, encoded(what.type, plainKeys))
        values = decoded(what.type, encoded(what.type, plainValues))
        slopes = (0..<what.group).map { -0.02 * Float($0 + 1) }
        biases = what.bias ? random.floats(what.group * what.rows * what.keys) : []
        positions = (0..<what.rows).map { Int32(what.keys - what.rows + $0) }
        upper = positions.map { max($0, 0) + 1 }
        lower = upper.map { upper in what.window.map { max(0, upper - Int32($0)) } ?? 0 }
        blocks = AttentionProblem.blocks(what, plainKeys, plainValues)
    }

    /// Stores the rows in two uneven parts per block, as a cache that grows does.
    private static func blocks(_ what: AttentionCase, _ keys: [Float], _ values: [Float]) -> [[UInt8]] {
        let (keyRow, valueRow) = (what.keyHeads * what.headWidth, what.keyHeads * what.valueWidth)
        return stride(from: 0, to: what.keys, by: 64).map { start in
            let bytes = martlet_block_bytes(what.type.kernelType, what.keyHeads, what.headWidth, what.valueWidth)
            var block = [UInt8](repeating: 0, count: bytes)
            let end = min(start + 64, what.keys)
            let middle = min(start + 19, end)
            for part in [start..<middle, middle..<end] {
                unsafe martlet_store_block(
                    what.type.kernelType, Array(keys[part.lowerBound * keyRow..<part.upperBound * keyRow]), keyRow,
                    Array(values[part.lowerBound * valueRow..<part.upperBound * valueRow]), valueRow, part.count,
                    what.keyHeads, 0, what.keyHeads, what.headWidth, what.valueWidth, &block, part.lowerBound - start)
            }
            return block
        }
    }

    /// Runs `body` with the work of each key head in turn and returns the outputs.
    private func run(_ body: (_ work: inout martlet_attention) -> Void) -> [Float] {
        let outputs = Pinned([Float](repeating: .nan, count: what.rows * outputStride))
        let bytes = blocks.map(\.count).max() ?? 0
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: blocks.count * bytes, alignment: 64)
        defer { unsafe memory.deallocate() }
        var list: [UnsafeRawPointer?] = unsafe []
        for (index, block) in blocks.enumerated() {
            let base = unsafe memory.baseAddress.map { unsafe $0 + index * bytes }
            unsafe base?.copyMemory(from: block, byteCount: block.count)
            unsafe list.append(base.map { UnsafeRawPointer($0) })
        }
        let (table, queries, positions) = unsafe (Pinned(list), Pinned(queries), Pinned(positions))
        let (lower, upper, slopes, biases) = (Pinned(lower), Pinned(upper), Pinned(slopes), Pinned(biases))
        defer { unsafe withExtendedLifetime((outputs, table, queries, positions, lower, upper, slopes, biases)) {} }
        for head in 0..<what.keyHeads {
            var work = unsafe martlet_attention()
            unsafe work.queries = UnsafePointer(queries.base + head * what.group * what.headWidth)
            unsafe work.outputs = outputs.base + head * what.group * what.valueWidth
            unsafe (work.query_stride, work.output_stride) = (queryStride, outputStride)
            unsafe (work.rows, work.group) = (what.rows, what.group)
            unsafe (work.head_width, work.value_width) = (what.headWidth, what.valueWidth)
            unsafe (work.blocks, work.block_type) = (UnsafePointer(table.base), what.type.kernelType)
            unsafe (work.key_heads, work.key_head) = (what.keyHeads, head)
            unsafe (work.lower, work.upper) = (UnsafePointer(lower.base), UnsafePointer(upper.base))
            unsafe (work.scale, work.cap) = (scale, what.cap)
            unsafe work.slopes = what.slopes ? UnsafePointer(slopes.base) : nil
            unsafe work.positions = UnsafePointer(positions.base)
            unsafe work.bias = what.bias ? UnsafePointer(biases.base) : nil
            unsafe (work.bias_head_stride, work.bias_row_stride) = (what.rows * what.keys, what.keys)
            unsafe body(&work)
        }
        return (0..<what.rows * outputStride).map { unsafe outputs.base[$0] }
    }

    func attend() -> [Float] {
        unsafe run { work in
            var scratch = unsafe [Float](repeating: .nan, count: martlet_attend_scratch(&work))
            unsafe martlet_attend(&work, 0, work.rows, &scratch)
        }
    }

    func attendRowByRow() -> [Float] {
        unsafe run { work in
            var scratch = unsafe [Float](repeating: .nan, count: martlet_attend_scratch(&work))
            for row in 0..<what.rows { unsafe martlet_attend(&work, row, row + 1, &scratch) }
        }
    }

    func attendInSegments() -> [Float] {
        unsafe run { work in
            var scratch = unsafe [Float](repeating: .nan, count: martlet_attend_scratch(&work))
            let floats = unsafe martlet_attend_partial_floats(&work)
            let segments = (what.keys + Int(MARTLET_SEGMENT) - 1) / Int(MARTLET_SEGMENT)
            var partials: [Float] = []
            for segment in 0..<segments {
                var partial = [Float](repeating: .nan, count: floats)
                unsafe martlet_attend_segment(&work, segment, &partial, &scratch)
                partials += partial
            }
            unsafe martlet_attend_merge(&work, partials, segments)
        }
    }

    func weights(row: Int, head: Int, keyHead: Int) -> [Float] {
        var weights = [Float](repeating: .nan, count: what.keys)
        _ = unsafe run { work in
            if unsafe work.key_head == keyHead {
                unsafe martlet_attention_weights(&work, row, head, &weights, what.keys)
            }
        }
        return weights
    }

    func referenceWeights(row: Int, head: Int, keyHead: Int) -> [Double] {
        let query = row * queryStride + (keyHead * what.group + head) * what.headWidth
        var weights = [Double](repeating: 0, count: what.keys)
        for key in Int(lower[row])..<Int(upper[row]) {
            var score = 0.0
            let base = (key * what.keyHeads + keyHead) * what.headWidth
            for i in 0..<what.headWidth { score += Double(queries[query + i]) * Double(keys[base + i]) }
            score *= Double(scale)
            if what.cap > 0 { score = Double(what.cap) * tanh(score / Double(what.cap)) }
            if what.slopes { score += Double(slopes[head]) * Double(key - Int(positions[row])) }
            if what.bias { score += Double(biases[(head * what.rows + row) * what.keys + key]) }
            weights[key] = exp(score)
        }
        let total = weights.reduce(0, +)
        return weights.map { total > 0 ? $0 / total : 0 }
    }

    func reference() -> [Double] {
        var outputs = [Double](repeating: 0, count: what.rows * outputStride)
        for row in 0..<what.rows {
            for keyHead in 0..<what.keyHeads {
                for head in 0..<what.group {
                    let weights = referenceWeights(row: row, head: head, keyHead: keyHead)
                    let base = row * outputStride + (keyHead * what.group + head) * what.valueWidth
                    for (key, weight) in weights.enumerated() where weight > 0 {
                        let value = (key * what.keyHeads + keyHead) * what.valueWidth
                        for i in 0..<what.valueWidth { outputs[base + i] += weight * Double(values[value + i]) }
                    }
                }
            }
        }
        return outputs
    }
}

/// A copy of an array at an address that stays the same.
@safe private final class Pinned<Element> {
    let base: UnsafeMutablePointer<Element>

    init(_ elements: [Element]) {
        unsafe base = .allocate(capacity: elements.count)
        unsafe base.initialize(from: elements, count: elements.count)
    }

    deinit { unsafe base.deallocate() }
}
