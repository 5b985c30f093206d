/// GPT-2's printable names of bytes: a bijection from bytes to 256 scalars of which none is a blank or a control
/// character.
///
/// Printable Latin-1 stands for itself; the other bytes, in order, are U+0100 onwards (Radford et al. 2019,
/// `bytes_to_unicode`).
enum ByteAlphabet {
    /// The scalar that names each byte, by byte.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
            default:
                next += 1
                return next - 1
            }
        }
    }()

    private static let bytes: [UInt16] = {
        var table = [UInt16](repeating: .max, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = UInt16(byte) }
        return table
    }()

    /// The byte that `scalar` names.
    static func byte(_ scalar: UInt32) -> UInt8? {
        guard scalar < bytes.count, bytes[Int(scalar)] < 256 else { return nil }
        return UInt8(bytes[Int(scalar)])
    }

    /// The bytes that `text` names, or nil when one of its scalars names none.
    static func bytes(namedBy text: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        return appendBytes(namedBy: text.span, to: &result) ? result : nil
    }

    /// Appends the bytes that `text` names; false when one of its scalars names none.
    static func appendBytes(namedBy text: Span<UInt8>, to result: inout [UInt8]) -> Bool {
        var index = 0
        while index < text.count {
            let scalar = text.scalar(at: index)
            guard let byte = byte(scalar.value) else { return false }
            result.append(byte)
            index += scalar.length
        }
        return true
    }

    /// The names of `bytes`, as text.
    static func names(of bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes { result.appendScalar(scalars[Int(byte)]) }
        return result
    }
}
