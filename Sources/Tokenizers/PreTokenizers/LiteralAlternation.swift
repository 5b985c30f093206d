/// An expression of fixed texts alone, none before a longer one (`\<b\>|ab|c`): the leftmost match, of those the
/// longest, however many texts there are.
struct LiteralAlternation: Pattern {
    private let texts: ByteTrie

    /// - Returns: nil for any other expression.
    init?(_ regex: String) {
        guard let texts = LiteralAlternation.texts(regex) else { return nil }
        self.texts = ByteTrie(texts.map { (key: $0, value: 0) })
    }

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var index = 0
        while index < text.count {
            guard let end = texts.longest(text, from: index) else {
                index += 1
                continue
            }
            found.append(Piece(index, end))
            index = end
        }
    }

    /// The expression for `texts`, in any order.
    static func spelling(_ texts: [[UInt8]]) -> String {
        let spellings = texts.sorted { $0.count > $1.count }.map { text in
            text.flatMap { isSign($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
        }
        return String(decoding: Array(spellings.joined(separator: [UInt8(ascii: "|")])), as: UTF8.self)
    }

    private static func texts(_ regex: String) -> [[UInt8]]? {
        var (texts, text, isEscaped): ([[UInt8]], [UInt8], Bool) = ([], [], false)
        for byte in regex.utf8 {
            if isEscaped {
                guard isSign(byte) else { return nil }
                text.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "|") {
                texts.append(text)
                text = []
            } else {
                guard !isSign(byte) else { return nil }
                text.append(byte)
            }
        }
        texts.append(text)
        let isOrdered = zip(texts, texts.dropFirst()).allSatisfy { $0.count >= $1.count }
        return isEscaped || !isOrdered || text.isEmpty ? nil : texts
    }

    /// Returns whether a byte is of ASCII, but no letter and no digit: what may mean something else unescaped.
    private static func isSign(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"): false
        case UInt8(ascii: "a")...UInt8(ascii: "z"), 0x80...: false
        default: true
        }
    }
}
