internal import MartletTensors

/// The element types of ggml by their numbers in a GGUF file. Source: ggml's type traits; retired numbers (4, 5, 31–33,
/// 36–38) are not known.
enum GGMLTypes {
    static let all: [UInt32: StoredType] = {
        var all: [UInt32: StoredType] = [41: StoredType("Q1_0", BlockSize(elements: 128, bytes: 18))]
        for type in ElementType.allCases { all[number(of: type)] = StoredType(type) }
        for type in WrittenBlocks.allCases {
            all[type.number] = StoredType(type.rawValue.uppercased(), type.block, .ggml(type.number))
        }
        for (number, name, elements, bytes) in converted {
            all[number] = StoredType(name, BlockSize(elements: elements, bytes: bytes), .ggml(number))
        }
        return all
    }()

    /// The types that files come in alone: converted when they are loaded.
    private static let converted: [(number: UInt32, name: String, elements: Int, bytes: Int)] = [
        (9, "Q8_1", 32, 36), (15, "Q8_K", 256, 292), (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82),
        (24, "I8", 1, 1), (25, "I16", 1, 2), (27, "I64", 1, 8), (28, "F64", 1, 8), (29, "IQ1_M", 256, 56),
        (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66), (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36),
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
