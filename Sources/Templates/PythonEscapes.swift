/// Escapes in Python's string literals.
enum PythonEscapes {
    /// The bytes that single letters and signs stand for.
    private static let single: [UInt8: UInt8] = [
        UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9, UInt8(ascii: "b"): 8,
        UInt8(ascii: "f"): 12, UInt8(ascii: "v"): 11, UInt8(ascii: "a"): 7, UInt8(ascii: "\\"): UInt8(ascii: "\\"),
        UInt8(ascii: "'"): UInt8(ascii: "'"), UInt8(ascii: "\""): UInt8(ascii: "\""),
    ]

    /// Undoes the escapes of a Python string.
    static func decode(_ bytes: [UInt8], line: Int) throws(TemplateError) -> String {
        guard bytes.contains(UInt8(ascii: "\\")) else { return String(decoding: bytes, as: UTF8.self) }
        var result: [UInt8] = []
        var index = 0
        func number(_ start: Int, _ count: Int) throws(TemplateError) -> UInt32 {
            guard start + count <= bytes.count,
                let value = UInt32(String(decoding: bytes[start..<(start + count)], as: UTF8.self), radix: 16),
                Unicode.Scalar(value) != nil
            else { throw TemplateError(.syntax, "a broken escape in a string", line: line) }
            return value
        }
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < bytes.count else {
                result.append(bytes[index])
                index += 1
                continue
            }
            let escaped = bytes[index + 1]
            index += 2
            if let byte = single[escaped] {
                result.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                let octal = bytes[(index - 1)..<min(index + 2, bytes.count)].prefix { (0x30...0x37).contains($0) }
                let value = octal.reduce(0) { $0 << 3 | UInt32($1 - 0x30) }
                if let scalar = Unicode.Scalar(value) { result += String(scalar).utf8 }
                index += octal.count - 1
            case 10: break
            case UInt8(ascii: "x"), UInt8(ascii: "u"), UInt8(ascii: "U"):
                let count = escaped == UInt8(ascii: "x") ? 2 : escaped == UInt8(ascii: "u") ? 4 : 8
                result += String(Unicode.Scalar(try number(index, count)) ?? "\u{FFFD}").utf8
                index += count
            default: result += [UInt8(ascii: "\\"), escaped]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
