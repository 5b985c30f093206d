package import MartletLayers
package import MartletTensors

/// The element type of the key-value cache. Fewer bits take less memory and are read faster; only `f32` gives the bits
/// of a pass without a cache.
public enum CacheType: String, Sendable, Hashable, Codable, CaseIterable {
    case f32, f16, bf16
    /// Eight bits and a scale for every 32 elements; heads must be multiples of 32 wide.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0

    /// The tensors' type that this is.
    package var elementType: ElementType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q8_0: .q8_0
        }
    }
}

extension Architecture {
    /// The offences that keep a KV cache from being kept as `type`.
    package func offences(cache type: ElementType) -> [String] {
        guard BlockLayout.types.contains(type) else {
            let known = BlockLayout.types.map(\.rawValue).joined(separator: ", ")
            return ["keys and values cannot be kept as \(type.rawValue); choose one of \(known)"]
        }
        let widths = Set(layers.flatMap { [$0.attention.headWidth, $0.attention.valueWidth] })
        return widths.filter { $0 % type.blockElements != 0 }.sorted().map {
            "heads of \($0) elements cannot be kept as \(type.rawValue), which asks for multiples of \(type.blockElements); "
                + "choose f16 or bf16"
        }
    }
}
