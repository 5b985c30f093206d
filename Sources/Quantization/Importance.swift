package import MartletLayers
package import MartletModels
package import MartletTensors

/// The importance of each column of each matrix: the mean square of the numbers that it met in a calibration text.
///
/// The error of y = W x that rounding W causes is, for inputs without correlation, Σ mean(x²) · (w − rounded)²; this is
/// what llama.cpp calls an importance matrix.
package struct Importance: Sendable {
    /// The columns of one matrix.
    package struct Columns: Sendable, Equatable {
        /// The sums of squares, Σ x² per column.
        package var squares: [Double]
        /// The number of rows that were seen; 0 for an expert that no row was sent to.
        package var rows: Int

        package init(squares: [Double], rows: Int) { (self.squares, self.rows) = (squares, rows) }
    }

    /// The columns of each matrix, by our names.
    package private(set) var columns: [String: Columns]
    /// The number of pieces of text that were run.
    package let chunks: Int
    /// The chunk size, the number of tokens of a piece.
    package let chunkSize: Int

    package init(columns: [String: Columns], chunks: Int, chunkSize: Int) {
        (self.columns, self.chunks, self.chunkSize) = (columns, chunks, chunkSize)
    }

    /// Runs `windows` of tokens through the model and remembers what every matrix met.
    ///
    /// - Throws: what loading the model throws; ``QuantizationError`` when it is no decoder or nothing was run.
    package init(of file: ModelFile, on windows: [[Int32]], device: Device) throws {
        guard let longest = windows.map(\.count).max() else {
            throw QuantizationError("the calibration text has no tokens")
        }
        let source = ObservingSource(CheckpointSource(try file.checkpoint(), device: device))
        let decoder = try source.decoder(of: file)
        for window in windows {
            var state = Uncached()
            let hidden = decoder.hidden(Rows(window), &state, on: device)
            for rows in hidden.slices { _ = decoder.logits(hidden.rows(rows)) }
        }
        let columns = source.statistics.mapValues { Columns(squares: $0.squares, rows: $0.rows) }
        self.init(columns: columns, chunks: windows.count, chunkSize: longest)
    }

    /// Weights of the columns of the parameters `names`, one row of them for each, or one for all where they met the
    /// same; mean 1. Nil where the text says nothing about them.
    ///
    /// A hundredth of the mean is added, so that columns which met nothing still count.
    package func weights(of names: [String]) -> [Float]? {
        let known = names.compactMap { columns[$0] }
        guard let first = known.first, known.count == names.count,
            known.allSatisfy({ $0.squares.count == first.squares.count && $0.squares.allSatisfy(\.isFinite) })
        else { return nil }
        if known.allSatisfy({ $0 == first }) { return Importance.weights(first) }
        return known.flatMap(Importance.weights)
    }

    private static func weights(_ columns: Columns) -> [Float] {
        let mean = columns.squares.reduce(0, +) / Double(max(columns.squares.count, 1))
        guard mean > 0 else { return Array(repeating: 1, count: columns.squares.count) }
        return columns.squares.map { Float(($0 / mean + 0.01) / 1.01) }
    }
}

/// A checkpoint whose matrices count what they meet.
package final class ObservingSource: ParameterSource {
    private let base: CheckpointSource
    /// The statistics of each matrix, by our names.
    package private(set) var statistics: [String: InputStatistics] = [:]

    package init(_ base: CheckpointSource) { self.base = base }

    package func parameter(_ description: ParameterDescription) -> Parameter { base.parameter(description) }
    package func packed(_ parameter: Parameter) -> PackedMatrix? { base.packed(parameter) }
    package func decoded(_ parameter: Parameter) -> Parameter { base.decoded(parameter) }

    package func statistics(of parameter: Parameter) -> InputStatistics? {
        // A matrix in two places sums up both.
        if let known = statistics[parameter.name] { return known }
        let new = InputStatistics(inputs: parameter.shape[1])
        statistics[parameter.name] = new
        return new
    }

    /// The model of the file, whose matrices count.
    ///
    /// - Throws: what loading throws.
    package func model(of file: ModelFile) throws -> Model {
        let model = try Model(file.architecture, Scope(self))
        if let failure = base.failure { throw failure }
        return model
    }

    func decoder(of file: ModelFile) throws -> Decoder {
        guard case .decoder(let decoder) = try model(of: file) else {
            throw QuantizationError("\(file.path): this model does not continue texts; it is not a decoder")
        }
        return decoder
    }
}
