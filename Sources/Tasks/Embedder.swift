import MartletLayers
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// One vector per text.
public struct Embedder: Sendable {
    private let model: TextEncoder
    package var modules: SentenceModules

    /// - Throws: what loading throws, and ``TaskError`` for a model that writes with two stacks or has modules that are not known.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer, on device: Device) throws {
        model = try TextEncoder(file, tokenizer, on: device)
        modules = try SentenceModules(directory: file.path)
    }

    /// The most tokens that are read of a text; nil: all.
    package var limit: Int? { [modules.limit, model.limit].compactMap { $0 }.min() }

    /// How many texts were longer, and cut.
    package var cutTexts: Int { model.cutTexts }

    /// The vectors of the texts, in order.
    ///
    /// - Throws: ``TokenizerError``, ``TaskError`` for a text that has no token.
    public func embed(_ texts: [String]) throws -> [[Float]] {
        let encodings = try texts.map { try model.encoding($0, limit: modules.limit) }
        var vectors: [[Float]] = []
        try model.run(encodings) { _, result in vectors.append(normalized(pooled(result.hidden))) }
        return vectors
    }

    private func pooled(_ hidden: Tensor) -> [Float] {
        let (rows, width) = (hidden.shape[0], hidden.shape[1])
        let values = hidden.values
        func sum() -> [Double] {
            var sum = [Double](repeating: 0, count: width)
            for row in 0..<rows { for i in 0..<width { sum[i] += Double(values[row * width + i]) } }
            return sum
        }
        switch modules.pooling {
        case .mean: return sum().map { Float($0 / Double(rows)) }
        case .meanOfRoot: return sum().map { Float($0 / Double(rows).squareRoot()) }
        case .cls: return Array(values[..<width])
        case .last: return Array(values.suffix(width))
        case .max:
            return (0..<width).map { i in (0..<rows).reduce(-Float.infinity) { max($0, values[$1 * width + i]) } }
        }
    }

    private func normalized(_ vector: [Float]) -> [Float] {
        guard modules.normalization == .unit else { return vector }
        let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return vector.map { Float(Double($0) / max(norm, 1e-12)) }
    }
}
