package import MartletLayers
package import MartletTensors

extension Architecture {
    /// What keeps a cache of keys and values from being kept as `type`.
    package func offences(cache type: ElementType) -> [String] {
        guard KeyValueBlocks.types.contains(type) else {
            let known = KeyValueBlocks.types.map(\.rawValue).joined(separator: ", ")
            return ["keys and values cannot be kept as \(type.rawValue); choose one of \(known)"]
        }
        let widths = Set(stacks.flatMap { $0.layers.map(\.attention.headWidth) })
        return widths.filter { $0 % type.blockElements != 0 }.sorted().map {
            "heads of \($0) elements cannot be kept as \(type.rawValue), which asks for multiples of \(type.blockElements); "
                + "choose f16 or bf16"
        }
    }

    private var stacks: [Stack] {
        switch body {
        case .decoder(let stack), .encoder(let stack): [stack]
        case .encoderDecoder(let encoder, let decoder): [encoder, decoder]
        }
    }
}
