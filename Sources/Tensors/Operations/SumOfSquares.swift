import CMartletKernels

extension Tensor {
    /// The sum of squares Σ x² over all elements, in f64: partial sums of fixed pieces, added in their order, whoever
    /// computes them.
    package func sumOfSquares() -> Double { sumsOfSquares().reduce(0, +) }

    /// The number of elements of a piece of a sum of squares.
    package static let pieceOfSquares = 1 << 14

    /// The sums of squares Σ x² of each piece of ``pieceOfSquares`` elements.
    package func sumsOfSquares() -> [Double] {
        let (count, piece) = (shape.elements, Tensor.pieceOfSquares)
        let pieces = (count + piece - 1) / piece
        var sums = [Double](repeating: 0, count: pieces)
        unsafe sums.withUnsafeMutableBufferPointer { sums in
            guard let sums = sums.baseAddress else { return }
            device(for: "sum of squares").parallel(pieces, cost: piece) { range in
                for index in range {
                    let first = index * piece
                    unsafe sums[index] = martlet_sum_of_squares(floats + first, min(piece, count - first))
                }
            }
        }
        return sums
    }

    /// True where no element is NaN or infinite.
    package var isFinite: Bool {
        unsafe UnsafeBufferPointer(start: floats, count: shape.elements).allSatisfy(\.isFinite)
    }
}
