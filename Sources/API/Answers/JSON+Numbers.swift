import MartletJSON
import MartletTokenizers

extension JSON {
    /// Bytes as a string in base64.
    static func base64(_ bytes: [UInt8]) -> JSON { .string(String(decoding: Base64.encode(bytes), as: UTF8.self)) }

    /// Little-endian 32-bit floats as a string in base64, as OpenAI sends vectors.
    static func base64(_ values: [Float]) -> JSON {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * 4)
        for value in values {
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(shift)))
            }
        }
        return base64(bytes)
    }

    /// A score as it was computed, with no more digits than it takes to read it back.
    static func score(_ value: Float) -> JSON { .number(Double("\(value)") ?? Double(value)) }
}
