import MartletLayers
import MartletModels
import MartletQuantization
import MartletTensors

/// The scores of layers, neurons of feed-forwards and groups of heads by how much each does: what pruning leaves out is
/// the least.
struct PruningScores {
    /// The sums Σ x² of each column of each matrix over the calibration rows, by our names; none without a text.
    private let squares: [String: [Double]]
    /// The block influence of each layer but the first: 1 − the mean cosine of what comes in and what goes out
    /// (arXiv:2403.03853).
    let influence: [Double]

    /// The scores of magnitudes alone.
    init() { (squares, influence) = ([:], []) }

    /// Runs texts through the model.
    ///
    /// - Throws: what loading throws, and for tokens that the model does not have.
    init(_ file: ModelFile, _ texts: [[Int32]], layers: Int, on device: Device) throws {
        let source = ObservingSource(CheckpointSource(try file.checkpoint(), device: device))
        let model = try source.model(of: file)
        var (sums, count) = ([Double](repeating: 0, count: layers), 0)
        for text in texts where !text.isEmpty {
            let results = try ForwardPass.run(
                model, file.architecture, [ForwardPass.Input(text)], recording: .nothing, layers: .all, on: device)
            let outputs = (0..<layers).compactMap { layer in
                results.first { $0.name == "hidden.0.\(layer)" }?.tensor
            }
            guard outputs.count == layers else { continue }
            count += text.count
            for layer in 1..<max(1, layers) {
                sums[layer] += PruningScores.distance(outputs[layer - 1], outputs[layer])
            }
        }
        influence = sums.map { $0 / Double(max(1, count)) }
        squares = source.statistics.mapValues(\.squares)
    }

    /// The distance Σ over rows of 1 − cosine.
    private static func distance(_ a: Tensor, _ b: Tensor) -> Double {
        let (a, b, width) = (a.values, b.values, a.shape.width)
        return stride(from: 0, to: a.count, by: width).reduce(0) { sum, first in
            var (both, own, other) = (0.0, 0.0, 0.0)
            for index in first..<first + width {
                both += Double(a[index]) * Double(b[index])
                own += Double(a[index]) * Double(a[index])
                other += Double(b[index]) * Double(b[index])
            }
            return sum + 1 - both / max(1e-30, (own * other).squareRoot())
        }
    }

    /// The scores of each input of a matrix `[outputs, inputs]`: Σ |w| of its column times how large the input is, as
    /// the text says (Wanda, arXiv:2306.11695), else as the rows that make it are.
    ///
    /// - Parameter makers: the matrices, one row for each input, whose product the input is.
    func ofInputs(_ name: String, _ matrix: Tensor, makers: [Tensor]) -> [Double] {
        let (values, width) = (matrix.values, matrix.shape.width)
        var scores = [Double](repeating: 0, count: width)
        for (index, value) in values.enumerated() { scores[index % width] += Double(abs(value)) }
        if let squares = squares[name] { return zip(scores, squares).map { $0 * $1.squareRoot() } }
        for maker in makers where maker.shape[0] == width {
            let (values, inputs) = (maker.values, maker.shape.width)
            for row in 0..<width {
                let square = values[row * inputs..<(row + 1) * inputs].reduce(0) { $0 + Double($1) * Double($1) }
                scores[row] *= square.squareRoot()
            }
        }
        return scores
    }
}
