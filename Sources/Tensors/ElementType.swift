// swift-format-ignore: AlwaysUseLowerCamelCase
/// The element type of a tensor (dtype): how its elements are stored.
///
/// The block-quantized types are ggml's: a row is cut into blocks, each stored together with its scales. Source: the
/// GGUF specification and the block structures of ggml.
public enum ElementType: String, Sendable, Hashable, Codable, CaseIterable {
    case f32, f16, bf16, i32
    case q8_0 = "q8_0"
    case q4_0 = "q4_0"
    case q4_1 = "q4_1"
    case q5_0 = "q5_0"
    case q5_1 = "q5_1"
    case q4_K = "q4_K"
    case q5_K = "q5_K"
    case q6_K = "q6_K"

    package var block: BlockSize {
        switch self {
        case .f32, .i32: BlockSize(elements: 1, bytes: 4)
        case .f16, .bf16: BlockSize(elements: 1, bytes: 2)
        case .q8_0: BlockSize(elements: 32, bytes: 34)  // f16 scale, 32 × int8
        case .q4_0: BlockSize(elements: 32, bytes: 18)  // f16 scale, 32 × 4 bits
        case .q4_1: BlockSize(elements: 32, bytes: 20)  // 2 × f16, 32 × 4 bits
        case .q5_0: BlockSize(elements: 32, bytes: 22)  // f16 scale, 32 × 5 bits
        case .q5_1: BlockSize(elements: 32, bytes: 24)  // 2 × f16, 32 × 5 bits
        // 2 × f16, 12 bytes of 6-bit scales and minima, 256 × 4 bits
        case .q4_K: BlockSize(elements: 256, bytes: 144)
        // as q4_K, and 32 bytes of fifth bits
        case .q5_K: BlockSize(elements: 256, bytes: 176)
        // 128 + 64 bytes of 6-bit values, 16 × int8 scales, f16
        case .q6_K: BlockSize(elements: 256, bytes: 210)
        }
    }

    /// The number of elements in a block: 1 for plain types.
    package var blockElements: Int { block.elements }

    package var isBlockQuantized: Bool { blockElements > 1 }
}
