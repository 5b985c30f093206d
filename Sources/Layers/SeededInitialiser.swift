package import MartletTensors

/// An initialiser that fills parameters from a seed: each from a stream of its own, named by its path, so that adding a
/// layer changes no other.
package final class SeededInitialiser: ParameterSource {
    private let seed: UInt64
    private let device: Device
    private let deviation: Float?

    /// - Parameter deviation: of all normal fills, in place of their own.
    package init(seed: UInt64, device: Device, deviation: Float? = nil) {
        (self.seed, self.device, self.deviation) = (seed, device, deviation)
    }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        let count = description.shape.elements
        let values: [Float] =
            switch description.fill {
            case .zeros: Array(repeating: 0, count: count)
            case .constant(let value): Array(repeating: value, count: count)
            case .ones: Array(repeating: 1, count: count)
            case .normal(let deviation):
                Random(seed: seed, stream: SeededInitialiser.stream(of: description.name)).normals(
                    count, deviation: self.deviation ?? deviation)
            }
        return Parameter(description, value: Tensor(values, shape: description.shape))
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? { PackedMatrix(parameter.tensor, on: device) }
    package func decoded(_ parameter: Parameter) -> Parameter { parameter }

    /// FNV-1a, 64 bits, over the UTF-8 of a name.
    private static func stream(of name: String) -> UInt64 {
        name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
