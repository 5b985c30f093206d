import MartletTensors

/// Attention in all its forms.
extension GradientCase {
    /// The keys that a row at a position sees, of so many.
    private typealias Sight = @Sendable (_ position: Int, _ keys: Int) -> Range<Int>

    private static let whole: Sight = { 0..<$1 }
    private static let past: Sight = { position, _ in 0..<position + 1 }
    private static let window: Sight = { position, _ in max(0, position - 2)..<position + 1 }
    private static let around: Sight = { position, keys in max(0, position - 2)..<min(keys, position + 3) }

    private static func span(_ rows: Range<Int>, _ sight: Sight, keys: Int) -> AttentionSpan {
        let seen = rows.indices.map { sight($0 - rows.lowerBound, keys) }
        return AttentionSpan(
            rows: rows, positions: rows.indices.map { Int32($0 - rows.lowerBound) },
            lower: seen.map { Int32($0.lowerBound) }, upper: seen.map { Int32($0.upperBound) })
    }

    private struct Form: Sendable {
        /// Rows of each sequence; and of its source, where that is another text.
        var rows = [7]
        var source: [Int]?
        var heads = 2
        var keyHeads = 2
        var width = 8
        var valueWidth = 8
        var sight = GradientCase.whole
        var rule = ScoreRule(scale: 0.4)
        /// Of a bias that is learnt.
        var bias: Shape?
    }

    private static func attention(_ setting: String, _ change: (inout Form) -> Void = { _ in }) -> GradientCase {
        var form = Form()
        change(&form)
        let (rows, sources) = (form.rows.reduce(0, +), (form.source ?? form.rows).reduce(0, +))
        let shapes: [Shape] = [
            [rows, form.heads, form.width], [sources, form.keyHeads, form.width],
            [sources, form.keyHeads, form.valueWidth],
        ]
        return GradientCase("attention", setting, shapes + (form.bias.map { [$0] } ?? [])) { [form] inputs in
            var (parts, row, key): ([AttentionPart], Int, Int) = ([], 0, 0)
            for (count, keys) in zip(form.rows, form.source ?? form.rows) {
                var rule = form.rule
                if let shape = form.bias {
                    rule.bias =
                        shape.rank == 3
                        ? .pairs(inputs[3]) : .distances(DistanceBias(values: inputs[3], zero: shape[1] / 2))
                }
                let seen = span(row..<row + count, form.sight, keys: keys)
                parts.append(AttentionPart(span: seen, keys: key..<key + keys, rule: rule))
                (row, key) = (row + count, key + keys)
            }
            return inputs[0].attention([AttentionSource(keys: inputs[1], values: inputs[2])], parts)
        }
    }

    private static let dropout = Dropout(share: 0.3, seed: 5, stream: 6)

    static let attentions: [GradientCase] = [
        attention("of the whole text"),
        attention("of the past") { $0.sight = past },
        attention("packed documents") { ($0.rows, $0.sight) = ([5, 1, 9], past) },
        attention("a window") { ($0.rows, $0.sight) = ([11], window) },
        attention("a window to both sides") { ($0.rows, $0.sight) = ([11], around) },
        attention("shared keys") { ($0.heads, $0.keyHeads, $0.width, $0.valueWidth) = (4, 2, 10, 5) },
        attention("slopes (ALiBi)") { ($0.rule.slopes, $0.sight) = ([0.3, 0.05], past) },
        attention("capped") { $0.rule.cap = 1.5 },
        attention("a bias of pairs") { $0.bias = [2, 7, 7] },
        attention("a bias of distances") { ($0.rows, $0.bias) = ([7, 4], [2, 17]) },
        attention("another text") { ($0.rows, $0.source) = ([5, 3], [4, 9]) },
        attention("several blocks") { ($0.rows, $0.sight) = ([70], past) },
        attention("several segments") { ($0.rows, $0.sight, $0.heads, $0.keyHeads) = ([530], past, 1, 1) },
        attention("dropped weights") { ($0.rows, $0.sight, $0.rule.dropout) = ([70, 3], past, dropout) },
        attention("all at once") {
            ($0.rows, $0.sight, $0.heads, $0.keyHeads) = ([9, 5], around, 4, 2)
            $0.rule = ScoreRule(scale: 0.3, cap: 2, slopes: [0.3, 0.2, 0.1, 0.05])
            ($0.bias, $0.rule.dropout) = ([4, 21], dropout)
        },
        pieces("pieces", nil), pieces("pieces with dropped weights", dropout),
    ]

    /// Twelve rows that see rows 1 and 9 as another source has them, and a window, under one softmax.
    private static func pieces(_ setting: String, _ dropout: Dropout?) -> GradientCase {
        let heads: Shape = [12, 2, 8]
        return GradientCase("attention", setting, [heads, heads, heads, [2, 2, 8], [2, 2, 8]]) { inputs in
            let near = span(0..<12, around, keys: 12)
            let before = span(0..<12, { position, _ in 0..<(position > 3 ? 1 : 0) }, keys: 2)
            let after = span(0..<12, { position, _ in (position < 7 ? 1 : 2)..<2 }, keys: 2)
            var rule = ScoreRule(scale: 0.4)
            rule.dropout = dropout
            let part = AttentionPart(
                [
                    .init(span: before, keys: 0..<2, source: 1), .init(span: near, keys: 0..<12),
                    .init(span: after, keys: 0..<2, source: 1),
                ], rule: rule)
            let sources = [
                AttentionSource(keys: inputs[1], values: inputs[2]),
                AttentionSource(keys: inputs[3], values: inputs[4]),
            ]
            return inputs[0].attention(sources, [part])
        }
    }
}
