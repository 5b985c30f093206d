import CMartletKernels

extension Tensor {
    /// Columns `columns` of `[rows, width]`, as a tensor of their own.
    package func selecting(columns: Range<Int>) -> Tensor {
        precondition(
            shape.rank == 2 && columns.lowerBound >= 0 && columns.upperBound <= shape[1],
            "selecting: columns \(columns) of \(shape)")
        let result = device(for: "selecting").make([shape[0], columns.count])
        for row in 0..<shape[0] {
            let source = unsafe floats + row * shape[1] + columns.lowerBound
            unsafe (result.mutableFloats + row * columns.count).update(from: source, count: columns.count)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in
            let whole = flow.device.make(node.shape).filled(with: 0)
            for row in 0..<node.shape[0] {
                let target = unsafe whole.mutableFloats + row * node.shape[1] + columns.lowerBound
                unsafe target.update(from: gradient.floats + row * columns.count, count: columns.count)
            }
            flow.add(whole, to: node)
        }
    }

    /// `[rows, columns]` as `[columns, rows]`.
    package func transposed(on device: Device) -> Tensor {
        precondition(shape.rank == 2, "transposed: \(shape)")
        let (rows, columns) = (shape[0], shape[1])
        let result = device.make([columns, rows])
        device.parallel(columns, cost: rows, grain: 16) { range in
            unsafe martlet_transpose(floats, rows, columns, result.mutableFloats, range.lowerBound, range.upperBound)
        }
        guard let node else { return result }
        return result.recorded([self]) { gradient, flow in flow.add(gradient.transposed(on: flow.device), to: node) }
    }

    /// Fills head `head` of self `[heads, rows, rows]`, a tensor that the caller is making, with scores of relative positions:
    /// at (i, j) scale · (byRow[i, c] + byKey[j, c]), where c is the column of the distance i − j.
    package func setRelativeScores(
        head: Int, byRow: Tensor?, byKey: Tensor?, scale: Float, column: (Int) -> Int
    ) {
        let rows = shape[1]
        precondition(
            shape.rank == 3 && shape[2] == rows && (byRow ?? byKey)?.shape[0] ?? rows == rows,
            "relative scores: \(shape) from \(byRow?.shape ?? []) and \(byKey?.shape ?? [])")
        guard rows > 0 else { return }
        let columns = ((1 - rows)...(rows - 1)).map(column)
        let width = (byRow ?? byKey)?.shape[1] ?? 0
        precondition(columns.allSatisfy { $0 >= 0 && $0 < width }, "relative scores: a column beyond \(width)")
        device(for: "relative scores").parallel(rows, cost: rows * 4) { range in
            for i in range {
                let target = unsafe mutableFloats + (head * rows + i) * rows
                for j in 0..<rows {
                    let column = columns[i - j + rows - 1]
                    let toPosition = byRow.map { unsafe $0.floats[i * width + column] } ?? 0
                    let toContent = byKey.map { unsafe $0.floats[j * width + column] } ?? 0
                    unsafe target[j] = (toPosition + toContent) * scale
                }
            }
        }
    }
}
