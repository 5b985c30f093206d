package import MartletTensors

/// The position encoding of one layer's attention in one pass: rotation, relative biases, or none.
package enum PassPositions: Sendable {
    case none
    /// The angles of each row; whether pairs are neighbours.
    case rotation(RotationTable, neighbours: Bool)
    case distances(DistanceBias)
    /// Biases by distance, and those of sums of blocks by the distance of blocks.
    case distancesAndSums(DistanceBias, DistanceBias)
    /// The table of relative positions, `[2 · span, width]`.
    case relative(Tensor)
}

extension PassPositions {
    /// The tensors in it that gradients flow to.
    package var learned: Tensor? {
        switch self {
        case .none, .rotation: nil
        case .distances(let bias), .distancesAndSums(let bias, _): bias.values
        case .relative(let table): table
        }
    }
}
