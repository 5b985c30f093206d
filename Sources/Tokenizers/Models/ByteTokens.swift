/// The tokens `<0x00>` to `<0xFF>` with which a vocabulary spells what it has no piece for.
enum ByteTokens {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// The token of a byte, upper-case as vocabularies write it.
    static func token(_ byte: UInt8) -> [UInt8] {
        Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
    }

    /// The byte that a token of exactly six characters stands for; either case of digit, nothing else.
    static func byte(_ token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">"),
            let high = hexadecimal(token[3]), let low = hexadecimal(token[4])
        else { return nil }
        return high << 4 | low
    }

    /// The ids of all 256 tokens in `vocabulary`, -1 where one is missing.
    static func ids(in vocabulary: Vocabulary) -> [Int32] {
        (0...255).map { vocabulary.id(of: token(UInt8($0))) ?? -1 }
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
