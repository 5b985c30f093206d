extension Tensor {
    /// Scores of relative positions, `[heads, rows, rows]`: for each head at (i, j) scale · (byRow[i, c] + byKey[j,
    /// c]), where c is the column of the distance i − j.
    ///
    /// - Parameters: `byRow` and `byKey`: one of `[rows, columns]` for each head, or none; not both are empty.
    package static func relativeScores(
        byRow: [Tensor], byKey: [Tensor], scale: Float, column: (Int) -> Int
    ) -> Tensor {
        guard let first = byRow.first ?? byKey.first else { preconditionFailure("relative scores: of nothing") }
        let (heads, rows, width) = (max(byRow.count, byKey.count), first.shape[0], first.shape[1])
        precondition(
            (byRow + byKey).allSatisfy { $0.shape == first.shape } && [0, heads].contains(byRow.count)
                && [0, heads].contains(byKey.count),
            "relative scores: \(byRow.map(\.shape)) and \(byKey.map(\.shape))")
        let columns = rows == 0 ? [] : ((1 - rows)...(rows - 1)).map(column)
        precondition(columns.allSatisfy { $0 >= 0 && $0 < width }, "relative scores: a column beyond \(width)")
        let device = first.device(for: "relative scores")
        let result = device.make([heads, rows, rows])
        device.parallel(heads * rows, cost: rows * 4) { range in
            for item in range {
                let (head, i) = (item / rows, item % rows)
                let target = unsafe result.mutableFloats + item * rows
                for j in 0..<rows {
                    let column = columns[i - j + rows - 1]
                    let toPosition = byRow.isEmpty ? 0 : unsafe byRow[head].floats[i * width + column]
                    let toContent = byKey.isEmpty ? 0 : unsafe byKey[head].floats[j * width + column]
                    unsafe target[j] = (toPosition + toContent) * scale
                }
            }
        }
        if (byRow + byKey).allSatisfy({ $0.node == nil }) { return result }
        let (rowNodes, keyNodes) = (byRow.map(\.node), byKey.map(\.node))
        return result.recorded(byRow + byKey) { gradient, flow in
            for head in 0..<heads {
                let own = gradient.rows(head..<head + 1).reshaped([rows, rows])
                if let node = rowNodes.isEmpty ? nil : rowNodes[head] {
                    flow.add(own.byDistance(columns, width, scale, byKey: false, on: flow.device), to: node)
                }
                if let node = keyNodes.isEmpty ? nil : keyNodes[head] {
                    flow.add(own.byDistance(columns, width, scale, byKey: true, on: flow.device), to: node)
                }
            }
        }
    }

    /// The scaled sums of self `[rows, rows]` by the column of the distance, for each row i, or each key j: `[rows,
    /// width]`.
    private func byDistance(_ columns: [Int], _ width: Int, _ scale: Float, byKey: Bool, on device: Device) -> Tensor {
        let (rows, sums) = (shape[0], device.make([shape[0], width]).filled(with: 0))
        device.parallel(rows, cost: rows * 4) { range in
            for own in range {
                let target = unsafe sums.mutableFloats + own * width
                for other in 0..<rows {
                    let (i, j) = byKey ? (other, own) : (own, other)
                    unsafe target[columns[i - j + rows - 1]] += floats[i * rows + j] * scale
                }
            }
        }
        return sums
    }
}
