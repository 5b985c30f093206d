/// Floating-point numbers of eight bits: sign, exponent, mantissa. Every one of them is a bf16 exactly.
///
/// Source: the OCP specification of FP8 (E4M3 and E5M2), its variants with one zero and one NaN (FNUZ), and the scales
/// of OCP MX (E8M0).
enum Float8: Sendable, Hashable, CaseIterable {
    case e4m3, e5m2, e4m3UnsignedZero, e5m2UnsignedZero, e8m0

    /// The numbers of all 256 bytes.
    var values: [Float] { (0..<256).map { value(UInt8($0)) } }

    private func value(_ byte: UInt8) -> Float {
        switch self {
        case .e8m0: byte == 0xFF ? .nan : Float8.power(Int(byte) - 127)
        case .e4m3: byte & 0x7F == 0x7F ? .nan : Float8.number(byte, mantissaBits: 3, bias: 7)
        case .e5m2:
            byte & 0x7C != 0x7C
                ? Float8.number(byte, mantissaBits: 2, bias: 15)
                : byte & 3 != 0 ? .nan : byte & 0x80 != 0 ? -.infinity : .infinity
        case .e4m3UnsignedZero: byte == 0x80 ? .nan : Float8.number(byte, mantissaBits: 3, bias: 8)
        case .e5m2UnsignedZero: byte == 0x80 ? .nan : Float8.number(byte, mantissaBits: 2, bias: 16)
        }
    }

    private static func number(_ byte: UInt8, mantissaBits: Int, bias: Int) -> Float {
        let exponent = Int(byte & 0x7F) >> mantissaBits
        let mantissa = Float(Int(byte) & (1 << mantissaBits - 1)) / Float(1 << mantissaBits)
        let magnitude = exponent == 0 ? mantissa * power(1 - bias) : (1 + mantissa) * power(exponent - bias)
        return byte & 0x80 != 0 ? -magnitude : magnitude
    }

    private static func power(_ exponent: Int) -> Float { Float(sign: .plus, exponent: exponent, significand: 1) }
}
