import MartletFormats

// swift-format-ignore: AlwaysUseLowerCamelCase
/// The file types of llama.cpp: which block format each tensor of a quantized file gets.
public enum FileType: String, Sendable, Hashable, Codable, CaseIterable {
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case q8_0 = "Q8_0"
    case q4_0 = "Q4_0"
    case q4_1 = "Q4_1"
    case q5_0 = "Q5_0"
    case q5_1 = "Q5_1"
    case q2_K = "Q2_K"
    case q2_K_S = "Q2_K_S"
    case q3_K_S = "Q3_K_S"
    case q3_K_M = "Q3_K_M"
    case q3_K_L = "Q3_K_L"
    case q4_K_S = "Q4_K_S"
    case q4_K_M = "Q4_K_M"
    case q5_K_S = "Q5_K_S"
    case q5_K_M = "Q5_K_M"
    case q6_K = "Q6_K"
    case iq1_S = "IQ1_S"
    case iq1_M = "IQ1_M"
    case iq2_XXS = "IQ2_XXS"
    case iq2_XS = "IQ2_XS"
    case iq2_S = "IQ2_S"
    case iq2_M = "IQ2_M"
    case iq3_XXS = "IQ3_XXS"
    case iq3_XS = "IQ3_XS"
    case iq3_S = "IQ3_S"
    case iq3_M = "IQ3_M"
    case iq4_NL = "IQ4_NL"
    case iq4_XS = "IQ4_XS"
    case tq1_0 = "TQ1_0"
    case tq2_0 = "TQ2_0"

    /// The format of every tensor that no rule names.
    public var base: StorageType {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .q8_0: .q8_0
        case .q4_0: .q4_0
        case .q4_1: .q4_1
        case .q5_0: .q5_0
        case .q5_1: .q5_1
        case .q2_K, .q2_K_S: .q2_K
        case .q3_K_S, .q3_K_M, .q3_K_L: .q3_K
        case .q4_K_S, .q4_K_M: .q4_K
        case .q5_K_S, .q5_K_M: .q5_K
        case .q6_K: .q6_K
        case .iq1_S: .iq1_S
        case .iq1_M: .iq1_M
        case .iq2_XXS: .iq2_XXS
        case .iq2_XS, .iq2_S: .iq2_XS
        case .iq2_M: .iq2_S
        case .iq3_XXS: .iq3_XXS
        case .iq3_XS, .iq3_S, .iq3_M: .iq3_S
        case .iq4_NL: .iq4_NL
        case .iq4_XS: .iq4_XS
        case .tq1_0: .tq1_0
        case .tq2_0: .tq2_0
        }
    }

    /// The type called `name`, in any case.
    public init?(named name: String) { self.init(rawValue: name.uppercased()) }

    /// The number of the file type in a GGUF file, `general.file_type`; nil for those that hold types which cannot be
    /// written here.
    package var number: Int? { GGUFFileType.number(named: rawValue).map { Int($0) } }

    /// The file types that can be written.
    public static var writable: [FileType] { allCases.filter { $0.number != nil } }

    /// The file types worth having of those that can be written, from the most bits to the fewest: nothing is
    /// recommended that cannot be made.
    public static var recommended: [FileType] {
        let byBits: [FileType] = [
            .f16, .q8_0, .q6_K, .q5_K_M, .q5_K_S, .q4_K_M, .q4_K_S, .q3_K_L, .q3_K_M, .q3_K_S, .q2_K,
        ]
        return byBits.filter { $0.number != nil }
    }

    /// The mix called `name` in any case; a bare K-quant is its middle mix, as in llama.cpp.
    public init?(mix name: String) {
        switch name.uppercased() {
        case "Q3_K", "Q4_K", "Q5_K": self.init(named: name + "_M")
        default: self.init(named: name)
        }
    }

    var isVerySmall: Bool {
        [.iq2_XXS, .iq2_XS, .iq2_S, .iq2_M, .iq1_S, .iq1_M].contains(self)
    }
}
