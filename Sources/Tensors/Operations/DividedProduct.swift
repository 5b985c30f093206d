/// The part of a matrix that is packed here, where several processes divide its outputs (tensor parallelism).
package struct MatrixPart: Sendable {
    /// The number of the matrix among all that are divided.
    package let number: Int
    /// The outputs that this process computes, and how many there are.
    package let outputs: Range<Int>
    package let all: Int
    package let others: any ProductHelpers

    package init(number: Int, outputs: Range<Int>, of all: Int, others: any ProductHelpers) {
        (self.number, self.outputs, self.all, self.others) = (number, outputs, all, others)
    }
}

/// The processes that have the other parts of divided matrices.
package protocol ProductHelpers: AnyObject, Sendable {
    /// Sends `x` `[rows, inputs]`, which they are to multiply by their parts of `matrices`.
    func begin(_ matrices: [Int], _ x: Tensor)

    /// Takes their products.
    ///
    /// - Parameter take: called for each matrix, by its place in `matrices`, and each process with its outputs and
    ///   their products `[rows, outputs]`.
    func finish(
        _ matrices: [Int], rows: Int, _ take: (_ matrix: Int, _ outputs: Range<Int>, _ products: Tensor) -> Void)
}

extension PackedMatrix {
    /// The outputs of the whole matrix, which results are as wide as.
    package var width: Int { part?.all ?? outputs }
    /// The output columns whose weights are packed here.
    var columns: Range<Int> { part?.outputs ?? 0..<outputs }
}

extension Tensor {
    /// Asks for what other processes compute of the products of these rows.
    ///
    /// - Returns: what puts it, with its biases, beside what is computed here; nil where nothing is divided.
    func beginDivided(_ matrices: [PackedMatrix], _ biases: [Tensor?]) -> (([Tensor]) -> Void)? {
        let divided = matrices.indices.filter { matrices[$0].part != nil }
        guard let others = divided.first.flatMap({ matrices[$0].part?.others }) else { return nil }
        let (numbers, rows) = (divided.compactMap { matrices[$0].part?.number }, shape[0])
        others.begin(numbers, self)
        return { results in
            others.finish(numbers, rows: rows) { matrix, outputs, products in
                let (result, bias) = (results[divided[matrix]], biases[divided[matrix]])
                for row in 0..<rows {
                    let source = unsafe products.floats + row * outputs.count
                    let target = unsafe result.mutableFloats + row * result.shape[1] + outputs.lowerBound
                    guard let bias else {
                        unsafe target.update(from: source, count: outputs.count)
                        continue
                    }
                    let added = unsafe bias.floats + outputs.lowerBound
                    for column in 0..<outputs.count { unsafe target[column] = source[column] + added[column] }
                }
            }
        }
    }
}
