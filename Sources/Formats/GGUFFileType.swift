package import MartletTensors

/// The file types of llama.cpp by the numbers that `general.file_type` has for them: those that can be written here.
package enum GGUFFileType {
    private static let numbers: [String: UInt32] = [
        "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
        "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q2_K_S": 21,
        "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32,
    ]

    /// The number of the file type called `name`; nil for those that hold types which cannot be written here.
    package static func number(named name: String) -> UInt32? { numbers[name] }

    /// The number of a file that is mostly of one type: a K-quant's is that of its middle mix, integers have F32's.
    package static func number(mostly type: ElementType) -> UInt32 {
        let name = type.rawValue.uppercased()
        return numbers[name] ?? numbers[name + "_M"] ?? 0
    }
}
