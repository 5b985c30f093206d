internal import MartletTensors

/// The element types of ggml by their numbers in a GGUF file. Source: ggml's type traits; retired numbers (4, 5, 31–33, 36–38) are not known.
enum GGMLTypes {
    static let all: [UInt32: StoredType] = [
        0: StoredType("F32", .f32), 1: StoredType("F16", .f16), 2: StoredType("Q4_0", .q4_0),
        3: StoredType("Q4_1", .q4_1),
        6: StoredType("Q5_0", .q5_0), 7: StoredType("Q5_1", .q5_1), 8: StoredType("Q8_0", .q8_0),
        9: StoredType("Q8_1", 32, 36), 10: StoredType("Q2_K", 256, 84), 11: StoredType("Q3_K", 256, 110),
        12: StoredType("Q4_K", .q4_K), 13: StoredType("Q5_K", .q5_K), 14: StoredType("Q6_K", .q6_K),
        15: StoredType("Q8_K", 256, 292), 16: StoredType("IQ2_XXS", 256, 66), 17: StoredType("IQ2_XS", 256, 74),
        18: StoredType("IQ3_XXS", 256, 98), 19: StoredType("IQ1_S", 256, 50), 20: StoredType("IQ4_NL", 32, 18),
        21: StoredType("IQ3_S", 256, 110), 22: StoredType("IQ2_S", 256, 82), 23: StoredType("IQ4_XS", 256, 136),
        24: StoredType("I8", 1, 1), 25: StoredType("I16", 1, 2), 26: StoredType("I32", .i32),
        27: StoredType("I64", 1, 8),
        28: StoredType("F64", 1, 8), 29: StoredType("IQ1_M", 256, 56), 30: StoredType("BF16", .bf16),
        34: StoredType("TQ1_0", 256, 54), 35: StoredType("TQ2_0", 256, 66), 39: StoredType("MXFP4", 32, 17),
        40: StoredType("NVFP4", 64, 36), 41: StoredType("Q1_0", 128, 18),
    ]

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
