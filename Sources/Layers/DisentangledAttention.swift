import MartletPlatform
import MartletTensors

/// The relative-position terms that DeBERTa adds to attention scores (arXiv:2006.03654).
///
/// bias(i, j) = scale · (q(i) · keys(δ) + k(j) · queries(δ)), where keys and queries are projections `[2 · span, heads
/// · headWidth]` of the table of relative positions, and δ its row for the distance i − j.
package struct DisentangledAttention: Sendable {
    private let form: Architecture.Attention
    private let positions: Architecture.Disentangled
    /// The projections of positions, into keys that content looks for and into queries that look for content.
    private let keys, queries: Linear?

    /// Creates the terms of an attention's positions; nil where positions act otherwise.
    init?(_ form: Architecture.Attention, width: Int, query: Linear, key: Linear, _ scope: Scope) {
        guard case .disentangled(let positions) = form.positions else { return nil }
        (self.form, self.positions) = (form, positions)
        let (toPosition, toContent) = (positions.terms != .positionToContent, positions.terms != .contentToPosition)
        switch positions.projections {
        case .shared: (keys, queries) = (toPosition ? key : nil, toContent ? query : nil)
        case .own:
            let scope = scope.multiplying(.fixed(2 * positions.span))
            // Positions have biases where content has.
            func projection(_ name: String, _ role: ParameterRole) -> Linear {
                Linear(width, form.queryWidth, bias: form.bias.presence(of: role), .relativePositions, scope[name])
            }
            keys = toPosition ? projection("positionKey", .key) : nil
            queries = toContent ? projection("positionQuery", .query) : nil
        }
    }

    /// - Parameters: `query`, `key` `[rows, heads, headWidth]`; `table` `[2 · span, width]`.
    /// - Returns: for each sequence `[heads, rows, rows]`.
    func callAsFunction(_ query: Tensor, _ key: Tensor, table: Tensor, _ rows: Rows) -> [Tensor] {
        let (keys, queries) = (keys.map { heads($0(table)) }, queries.map { heads($0(table)) })
        return rows.sequences.map { sequence in
            Tensor.relativeScores(
                byRow: keys.map { products(query, with: $0, sequence.rows) } ?? [],
                byKey: queries.map { products(key, with: $0, sequence.rows) } ?? [], scale: form.scale, column: column)
        }
    }

    /// The products of rows with the positions of each head, `[rows, 2 · span]`.
    private func products(_ content: Tensor, with positions: [Tensor], _ rows: Range<Int>) -> [Tensor] {
        let own = heads(content.rows(rows).reshaped([rows.count, form.queryWidth]))
        return zip(own, positions).map { $0.multiplied(byStored: $1) }
    }

    /// `[rows, heads · headWidth]` to each head's columns.
    private func heads(_ x: Tensor) -> [Tensor] {
        (0..<form.queryHeads).map { x.selecting(columns: $0 * form.headWidth..<($0 + 1) * form.headWidth) }
    }

    /// The row of the table for a query `distance` after the key.
    private func column(_ distance: Int) -> Int {
        let span = positions.span
        return min(max(bucket(of: distance) + span, 0), 2 * span - 1)
    }

    /// Distances up to half of the buckets keep their own; beyond, buckets widen logarithmically.
    private func bucket(of distance: Int) -> Int {
        guard let buckets = positions.buckets else { return distance }
        let middle = buckets / 2
        guard abs(distance) > middle else { return distance }
        let share = logf(Float(abs(distance)) / Float(middle)) / logf(Float(positions.farthest - 1) / Float(middle))
        let far = Int((share * Float(middle - 1)).rounded(.up)) + middle
        return distance < 0 ? -far : far
    }
}
