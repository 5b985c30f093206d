import MartletPlatform
package import MartletTensors

/// The position embeddings that are added to the token vectors: a learned row per position, or fixed sines and cosines.
package enum PositionTable: Sendable {
    case learned(TokenTable, offset: Int)
    case sinusoidal(Architecture.Sinusoid, width: Int)

    /// Creates the position embeddings; nil when positions act elsewhere.
    package init?(_ form: Architecture.InputPositions, width: Int, _ scope: Scope) {
        switch form {
        case .none: return nil
        case .learned(let count, let offset):
            self = .learned(TokenTable(count + offset, width, .positions, scope), offset: offset)
        case .sinusoidal(let sinusoid): self = .sinusoidal(sinusoid, width: width)
        }
    }

    /// The position embeddings, one row per position: `[positions, width]`.
    package func callAsFunction(_ positions: [Int32], on device: Device) -> Tensor {
        switch self {
        case .learned(let table, let offset): return table(positions.map { $0 + Int32(offset) }, on: device)
        case .sinusoidal(let form, let width):
            return device.tensor(
                positions.flatMap { PositionTable.row(Int($0), form, width: width) }, shape: [positions.count, width])
        }
    }

    /// The sines and cosines of one position.
    package static func row(_ position: Int, _ form: Architecture.Sinusoid, width: Int) -> [Float] {
        var row = [Float](repeating: 0, count: width)
        let half = width / 2
        for i in 0..<half {
            let angle = Double(position + form.start) * pow(Double(form.base), -Double(i) / Double(form.denominator))
            let (sine, cosine) = form.order == .halves ? (i, half + i) : (2 * i, 2 * i + 1)
            row[sine] = Float(sin(angle))
            row[cosine] = Float(cos(angle))
        }
        return row
    }
}
