package import MartletTensors

extension Architecture.Reach {
    /// The keys that each row of a sequence sees, of `length`.
    package func span(of sequence: Rows.Sequence, length: Int) -> AttentionSpan {
        let positions = sequence.rows.indices.map { Int32(sequence.start + $0 - sequence.rows.lowerBound) }
        let length = Int32(clamping: length)
        let (lower, upper): ([Int32], [Int32])
        switch self {
        case .all: (lower, upper) = (positions.map { _ in 0 }, positions.map { _ in length })
        case .past: (lower, upper) = (positions.map { _ in 0 }, positions.map { $0 + 1 })
        case .window(let size):
            let size = Int32(clamping: size)
            (lower, upper) = (positions.map { max(0, $0 - size + 1) }, positions.map { $0 + 1 })
        case .chunk(let size):
            let size = Int32(clamping: size)
            (lower, upper) = (positions.map { $0 - $0 % size }, positions.map { $0 + 1 })
        case .around(let size), .aroundAndGlobal(let size, _), .aroundAndSums(let size, _):
            let size = Int32(clamping: size)
            (lower, upper) = (positions.map { max(0, $0 - size) }, positions.map { min(length, $0 + size + 1) })
        }
        return AttentionSpan(rows: sequence.rows, positions: positions, lower: lower, upper: upper)
    }
}
