import CMartletKernels
import MartletPlatform

extension Tensor {
    /// The index of the largest element, the first of equals; NaN is never the largest.
    package func argmax() -> Int { unsafe martlet_argmax(floats, shape.elements) }

    /// Returns whether all elements of row `row` are NaN.
    package func lacksNumbers(row: Int) -> Bool {
        precondition(row >= 0 && row < shape.rows, "lacksNumbers: row \(row) of \(shape)")
        let x = unsafe UnsafeBufferPointer(start: floats + row * shape.width, count: shape.width)
        return unsafe x.allSatisfy(\.isNaN)
    }

    /// The element at `column` of row `row`.
    package func element(row: Int, column: Int) -> Float {
        precondition(
            row >= 0 && row < shape.rows && column >= 0 && column < shape.width,
            "element: \(row), \(column) of \(shape)")
        return unsafe floats[row * shape.width + column]
    }

    /// Returns the results of `body` for each row's number, computed on all threads of the device, in order of rows.
    package func mapRows<Result: Sendable>(cost: Int, _ body: (Int) -> Result) -> [Result] {
        let rows = shape.rows
        guard let device, rows > 1 else { return (0..<rows).map(body) }
        return unsafe Array(unsafeUninitializedCapacity: rows) { results, count in
            let base = results.baseAddress
            device.parallel(rows, cost: cost) { range in
                for row in range { unsafe base?.advanced(by: row).initialize(to: body(row)) }
            }
            count = rows
        }
    }

    /// Summaries of the rows of logits for a search: the largest elements of each row and log Σ exp.
    ///
    /// - Parameter count: how many of the largest.
    package func rowSummaries(largest count: Int) -> [RowSummary] {
        mapRows(cost: shape.width * 16) { summary(row: $0, largest: count) }
    }

    /// The summary of row `row`: its largest `count` elements and log Σ exp.
    package func summary(row: Int, largest count: Int) -> RowSummary {
        precondition(row >= 0 && row < shape.rows && count >= 0, "summary: \(count) of row \(row) of \(shape)")
        let (x, count) = unsafe (floats + row * shape.width, min(count, shape.width))
        var maximum: Float = 0
        let total = unsafe martlet_exponential_sum(x, shape.width, &maximum)
        let indices = unsafe [UInt32](unsafeUninitializedCapacity: count) { indices, found in
            found = unsafe indices.baseAddress.map { unsafe martlet_largest(x, shape.width, count, $0) } ?? 0
        }
        return RowSummary(
            maximum: maximum, total: total, largest: indices.map { (Int($0), unsafe x[Int($0)]) })
    }
}

/// The summary of one row of a tensor: its largest elements and what log Σ exp needs.
package struct RowSummary: Sendable {
    package let maximum: Float
    /// The sum Σ exp(x − maximum).
    package let total: Float
    /// The largest elements in descending order, the first of equals first; neither NaN nor −∞.
    package let largest: [(index: Int, value: Float)]

    /// The logarithm of the probability that the softmax of the row gives to an element of this value.
    package func logProbability(of value: Float) -> Float { value - maximum - Float(log(Double(total))) }
}
