/// Bytes to valid UTF-8 as they come: whole scalars go out at once, a scalar that is not complete waits, a malformed
/// sequence becomes U+FFFD.
struct UTF8Repairer: Sendable {
    /// The rule for the number of replacements that a malformed sequence gets.
    enum Rule: Sendable {
        /// One per maximal part of a scalar: Rust's lossy conversion, Python's `errors="replace"`.
        case perMaximalPart
        /// One per byte: SentencePiece.
        case perByte
    }

    let rule: Rule
    private var held: [UInt8] = []

    init(_ rule: Rule = .perMaximalPart) { self.rule = rule }

    /// Returns the text that is certain after `bytes`, as valid UTF-8.
    mutating func push(_ bytes: [UInt8]) -> [UInt8] {
        let all = held.isEmpty ? bytes : held + bytes
        let complete = all.count - UTF8Repairer.incompleteTail(all)
        held = Array(all[complete...])
        return repair(complete == all.count ? all : Array(all[..<complete]))
    }

    /// Returns the text that is left when no more bytes come.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return repair(held)
    }

    private func repair(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.isValidUTF8 { return bytes }
        guard rule == .perByte else { return bytes.repairedUTF8 }
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let scalar = bytes.span.scalar(at: index)
            result.appendScalar(scalar.value)
            index += scalar.length
        }
        return result
    }

    /// The number of bytes at the end that begin a scalar whose other bytes may still come.
    static func incompleteTail(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            if byte & 0xC0 == 0x80 { continue }
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
            guard byte <= 0xF4, length > back else { return 0 }
            if back > 1 {
                let second = bytes[bytes.count - back + 1]
                let allowed: ClosedRange<UInt8> =
                    switch byte {
                    case 0xE0: 0xA0...0xBF
                    case 0xED: 0x80...0x9F
                    case 0xF0: 0x90...0xBF
                    case 0xF4: 0x80...0x8F
                    default: 0x80...0xBF
                    }
                guard allowed.contains(second) else { return 0 }
            }
            return back
        }
        return 0
    }
}
