/// A step on a text's vector after pooling.
package enum SentenceStep: Sendable {
    case normalize
    /// The first elements alone.
    case truncate(Int)
    case dense(SentenceDense)
    case layerNorm(SentenceNorm)

    func callAsFunction(_ vector: [Float]) throws -> [Float] {
        switch self {
        case .normalize: SentenceStep.unit(vector)
        case .truncate(let count): Array(vector.prefix(count))
        case .dense(let dense): try dense(vector)
        case .layerNorm(let norm): try norm(vector)
        }
    }

    /// A vector of length 1.
    static func unit(_ vector: [Float]) -> [Float] {
        let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return vector.map { Float(Double($0) / max(norm, 1e-12)) }
    }
}
