import MartletTensors

/// Sums of blocks of a text, which every row sees beside its window: transient-global attention (arXiv:2112.07916).
///
/// A block's sum, normed, passes the projections of keys and values that rows pass. What is left behind the last whole
/// block belongs to it; a text shorter than a block has no sums.
package struct BlockSums: Sendable {
    /// The keys and values, `[sums of the pass, keyHeads, headWidth]`, sequence by sequence.
    let key, value: Tensor
    /// A bias by the distance from a row's own block.
    let bias: DistanceBias
    let size: Int

    /// The number of sums that a sequence of `rows` rows has.
    func count(rows: Int) -> Int { rows / size }

    /// The ranges of rows that are summed in a sequence.
    static func blocks(of rows: Range<Int>, size: Int) -> [Range<Int>] {
        let count = rows.count / size
        return (0..<count).map { block in
            let first = rows.lowerBound + block * size
            return first..<(block == count - 1 ? rows.upperBound : first + size)
        }
    }

    /// Attention of one sequence to its window and its `count` sums, those from `first` on, under one softmax.
    func attend(
        _ query: Tensor, window: AttentionPass, form: Architecture.Attention, first: Int, into result: Tensor,
        on device: Device
    ) {
        let count = count(rows: window.span.rows.count)
        let sums = BlockTable(form, keys: key, values: value, rows: first..<first + count, on: device)[0]
        var rule = window.rule
        rule.bias = .distances(bias)
        for (block, rows) in BlockSums.blocks(of: window.span.rows, size: size).enumerated() {
            func each(_ number: Int) -> [Int32] { Array(repeating: Int32(number), count: rows.count) }
            // Rows stand where their block does.
            let span = AttentionSpan(rows: rows, positions: each(block), lower: each(0), upper: each(count))
            query.attend(
                to: [(window.keyValues, window.span.part(rows), window.rule), (sums, span, rule)], into: result)
        }
    }
}

extension Architecture {
    /// True where rows see sums of blocks, through which no gradients flow.
    package var seesSums: Bool { firstStack.layers.contains { $0.attention.sumsNorm != nil } }
}

/// The norm of a layer's sums of blocks.
struct BlockSumsLayer: Sendable {
    private let norm: NormLayer
    private let size: Int

    /// Creates it; nil where attention sees no sums.
    init?(_ form: Architecture.Attention, width: Int, _ scope: Scope) {
        guard case .aroundAndSums(_, let size) = form.reach, let norm = form.sumsNorm else { return nil }
        (self.size, self.norm) = (size, NormLayer(norm, width: width, scope["sumsNorm"]))
    }

    /// The sums of rows `x` `[rows, width]`; nil where no sequence of the pass is as long as a block.
    ///
    /// - Parameter project: from rows to their keys and values.
    func callAsFunction(
        _ x: Tensor, _ rows: Rows, bias: DistanceBias, project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> BlockSums? {
        let blocks = rows.sequences.flatMap { BlockSums.blocks(of: $0.rows, size: size) }
        guard !blocks.isEmpty else { return nil }
        let counts = x.device(for: "sums of blocks").tensor(blocks.map { Float($0.count) }, shape: [blocks.count, 1])
        let made = project(norm(x.averaged(over: blocks).scaled(byRow: counts)))
        return BlockSums(key: made.keys, value: made.values, bias: bias, size: size)
    }
}
