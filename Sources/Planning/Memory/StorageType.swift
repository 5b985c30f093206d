// swift-format-ignore: AlwaysUseLowerCamelCase
/// The storage type of numbers, by bytes per block: plain types, and ggml's block formats with their scales.
///
/// Sizes are those of ggml's block structures; a block is indivisible. Source: the GGUF specification and
/// ggml-common.h.
public enum StorageType: String, Sendable, Hashable, Codable, CaseIterable {
    case f64, f32, f16, bf16, f8, i8
    case q8_0, q4_0, q4_1, q5_0, q5_1
    case q2_K, q3_K, q4_K, q5_K, q6_K
    case iq1_S = "iq1_s"
    case iq1_M = "iq1_m"
    case iq2_XXS = "iq2_xxs"
    case iq2_XS = "iq2_xs"
    case iq2_S = "iq2_s"
    case iq3_XXS = "iq3_xxs"
    case iq3_S = "iq3_s"
    case iq4_NL = "iq4_nl"
    case iq4_XS = "iq4_xs"
    case tq1_0, tq2_0, mxfp4
    /// bitsandbytes' 4-bit NormalFloat with doubly quantized scales (QLoRA, arXiv:2305.14314 §3).
    case nf4

    /// The number of elements that are stored together.
    public var blockElements: Int { layout.elements }
    /// The size of one block in bytes.
    public var blockBytes: Int { layout.bytes }

    private var layout: (elements: Int, bytes: Int) {
        switch self {
        case .f64: (1, 8)
        case .f32: (1, 4)
        case .f16, .bf16: (1, 2)
        case .f8, .i8: (1, 1)
        case .q8_0: (32, 34)
        case .q4_0, .iq4_NL: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .mxfp4: (32, 17)
        case .q2_K: (256, 84)
        case .q3_K, .iq3_S: (256, 110)
        case .q4_K: (256, 144)
        case .q5_K: (256, 176)
        case .q6_K: (256, 210)
        case .iq1_S: (256, 50)
        case .iq1_M: (256, 56)
        case .iq2_XXS, .tq2_0: (256, 66)
        case .iq2_XS: (256, 74)
        case .iq2_S: (256, 82)
        case .iq3_XXS: (256, 98)
        case .iq4_XS: (256, 136)
        case .tq1_0: (256, 54)
        case .nf4: (16384, 8192 + 256 + 4)  // 256 blocks of 64 with an 8-bit scale each, and one 32-bit scale for them
        }
    }

    /// The bits of an element, its share of the block's scales included.
    public var bitsPerElement: Double { Double(8 * blockBytes) / Double(blockElements) }

    /// The bytes of so many elements; a block that is begun is paid in full.
    public func bytes(_ elements: Count) -> Count {
        let block = Count(blockElements)
        return (elements + block - 1) / block * Count(blockBytes)
    }

    /// The type called `name`, in any case: `q4_k` and `Q4_K` are the same.
    public init?(named name: String) {
        let wanted = name.lowercased()
        guard let found = StorageType.allCases.first(where: { $0.rawValue.lowercased() == wanted }) else { return nil }
        self = found
    }
}
