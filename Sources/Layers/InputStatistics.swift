package import MartletTensors
import Synchronization

/// Statistics of a matrix's inputs, Σ x² of each column of the rows that met a matrix: what its rounding should mind
/// (arXiv:2306.00978 measures the same).
package final class InputStatistics: Sendable {
    /// The sums so far, by column, and the number of rows in them.
    private struct Sums {
        var squares: [Double]
        var rows = 0
    }

    private let sums: Mutex<Sums>

    package init(inputs: Int) { sums = Mutex(Sums(squares: Array(repeating: 0, count: inputs))) }

    /// Adds the rows of `x` `[rows, inputs]`, in their order: however a text is cut into passes, the sums are the same.
    package func add(_ x: Tensor) {
        sums.withLock { sums in
            let (rows, width) = (x.shape[0], x.shape[1])
            precondition(width == sums.squares.count, "statistics: \(x.shape) for \(sums.squares.count) inputs")
            for row in 0..<rows {
                let values = unsafe x.floats + row * width
                for column in 0..<width {
                    let value = unsafe Double(values[column])
                    sums.squares[column] += value * value
                }
            }
            sums.rows += rows
        }
    }

    package var squares: [Double] { sums.withLock { $0.squares } }
    package var rows: Int { sums.withLock { $0.rows } }
}
