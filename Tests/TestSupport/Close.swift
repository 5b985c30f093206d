/// The worst differences between two lists of numbers, for a message that shows where they part.
public struct Comparison: Sendable, CustomStringConvertible {
    public let worstAbsolute: Float
    public let index: Int
    public let withinTolerance: Bool
    public let description: String

    /// Compares with `|a − b| ≤ absolute + relative · |b|`; NaN anywhere, a different count or a non-positive tolerance
    /// never agree.
    public init(_ actual: [Float], _ expected: [Float], absolute: Float, relative: Float = 0) {
        guard actual.count == expected.count else {
            (worstAbsolute, index, withinTolerance) = (.infinity, -1, false)
            description = "\(actual.count) values against \(expected.count)"
            return
        }
        guard absolute > 0 || relative > 0 else {
            (worstAbsolute, index, withinTolerance) = (.infinity, -1, false)
            description = "a tolerance must be positive"
            return
        }
        var worst: Float = 0
        var at = 0
        var close = true
        for i in actual.indices {
            let difference = abs(actual[i] - expected[i])
            if !(difference <= absolute + relative * abs(expected[i])) { close = false }
            if !(difference <= worst) { (worst, at) = (difference, i) }
            if difference.isNaN { break }
        }
        (worstAbsolute, index, withinTolerance) = (worst, at, close)
        let pairs = zip(actual, expected).dropFirst(at).prefix(5).map { "\($0) / \($1)" }.joined(separator: ", ")
        description = "worst difference \(worst) at \(at) of \(actual.count): \(pairs)"
    }
}
