// swift-format-ignore: AlwaysUseLowerCamelCase
/// The element type of a tensor (dtype): how its elements are stored.
///
/// The block-quantized types are ggml's: a row is cut into blocks of `blockElements`, each stored in `blockBytes`
/// together with its scales. Source: the GGUF specification and the block structures of ggml.
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

    /// The block size, the number of elements that are stored together: 1 for plain types.
    package var blockElements: Int {
        switch self {
        case .f32, .f16, .bf16, .i32: 1
        case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// The size in bytes of one block (of one element for plain types).
    package var blockBytes: Int {
        switch self {
        case .f32, .i32: 4
        case .f16, .bf16: 2
        case .q8_0: 34  // f16 scale, 32 × int8
        case .q4_0: 18  // f16 scale, 32 × 4 bits
        case .q4_1: 20  // 2 × f16, 32 × 4 bits
        case .q5_0: 22  // f16 scale, 32 × 5 bits
        case .q5_1: 24  // 2 × f16, 32 × 5 bits
        case .q4_K: 144  // 2 × f16, 12 bytes of 6-bit scales and minima, 256 × 4 bits
        case .q5_K: 176  // as q4_K, and 32 bytes of fifth bits
        case .q6_K: 210  // 128 + 64 bytes of 6-bit values, 16 × int8 scales, f16
        }
    }

    package var isBlockQuantized: Bool { blockElements > 1 }

    /// The bytes that `elements` take, or nil when they do not fill whole blocks or the product overflows.
    package func bytes(forElements elements: Int) -> Int? {
        guard elements >= 0, elements % blockElements == 0 else { return nil }
        let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
        return overflow ? nil : bytes
    }
}
