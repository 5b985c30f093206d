internal import MartletTensors

/// The element types of ggml by their numbers in a GGUF file. Source: ggml's type traits; retired numbers (4, 5, 31–33,
/// 36–38) are not known.
enum GGMLTypes {
    static let all: [UInt32: StoredType] = [
        0: StoredType("F32", .f32), 1: StoredType("F16", .f16), 2: StoredType("Q4_0", .q4_0),
        3: StoredType("Q4_1", .q4_1),
        6: StoredType("Q5_0", .q5_0), 7: StoredType("Q5_1", .q5_1), 8: StoredType("Q8_0", .q8_0),
        9: converted("Q8_1", 32, 36, 9), 10: converted("Q2_K", 256, 84, 10), 11: converted("Q3_K", 256, 110, 11),
        12: StoredType("Q4_K", .q4_K), 13: StoredType("Q5_K", .q5_K), 14: StoredType("Q6_K", .q6_K),
        15: converted("Q8_K", 256, 292, 15), 16: converted("IQ2_XXS", 256, 66, 16),
        17: converted("IQ2_XS", 256, 74, 17),
        18: converted("IQ3_XXS", 256, 98, 18), 19: converted("IQ1_S", 256, 50, 19), 20: converted("IQ4_NL", 32, 18, 20),
        21: converted("IQ3_S", 256, 110, 21), 22: converted("IQ2_S", 256, 82, 22),
        23: converted("IQ4_XS", 256, 136, 23),
        24: converted("I8", 1, 1, 24), 25: converted("I16", 1, 2, 25), 26: StoredType("I32", .i32),
        27: converted("I64", 1, 8, 27),
        28: converted("F64", 1, 8, 28), 29: converted("IQ1_M", 256, 56, 29), 30: StoredType("BF16", .bf16),
        34: converted("TQ1_0", 256, 54, 34), 35: converted("TQ2_0", 256, 66, 35), 39: converted("MXFP4", 32, 17, 39),
        40: converted("NVFP4", 64, 36, 40), 41: StoredType("Q1_0", 128, 18),
    ]

    /// A type whose elements are converted when they are loaded.
    private static func converted(_ name: String, _ elements: Int, _ bytes: Int, _ number: UInt32) -> StoredType {
        StoredType(name, elements, bytes, .ggml(number))
    }

    static func number(of type: ElementType) -> UInt32 {
        switch type {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q4_1: 3
        case .q5_0: 6
        case .q5_1: 7
        case .q8_0: 8
        case .q4_K: 12
        case .q5_K: 13
        case .q6_K: 14
        case .i32: 26
        case .bf16: 30
        }
    }
}
