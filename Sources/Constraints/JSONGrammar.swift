/// The parts of JSON's grammar (RFC 8259) that schemas are made of.
enum JSONGrammar {
    static let blank = GrammarExpression.optional(.text(" "))
    static let comma = GrammarExpression.sequence([.text(","), blank])
    static let colon = GrammarExpression.sequence([.text(":"), blank])

    private static let plain = ScalarRanges([0...0x1F, 0x22...0x22, 0x5C...0x5C]).inverse
    private static let hexadecimal = ScalarRanges([0x30...0x39, 0x41...0x46, 0x61...0x66])
    private static let digit = GrammarExpression.scalars(ScalarRanges([0x30...0x39]))
    private static let nonzero = GrammarExpression.scalars(ScalarRanges([0x31...0x39]))

    /// A character of a string: as it is, or by any escape but half of a surrogate pair.
    static let character: GrammarExpression = {
        func digits(_ count: Int) -> GrammarExpression {
            .repeated(.scalars(hexadecimal), minimum: count, maximum: count)
        }
        let d = ScalarRanges([0x44...0x44, 0x64...0x64])
        let others = GrammarExpression.sequence([.scalars(hexadecimal.intersection(d.inverse)), digits(3)])
        let below = GrammarExpression.sequence([.scalars(d), .scalars(ScalarRanges([0x30...0x37])), digits(2)])
        let escapes = ScalarRanges("\"\\/bfnrt".unicodeScalars.map { $0.value...$0.value })
        return .choice([
            .scalars(plain), .sequence([.text("\\"), .scalars(escapes)]),
            .sequence([.text("\\u"), .choice([others, below])]),
        ])
    }()

    static let string = quoted(.repeated(character, minimum: 0, maximum: nil))

    static func quoted(_ inner: GrammarExpression) -> GrammarExpression {
        .sequence([.text("\""), inner, .text("\"")])
    }

    /// A scalar of `scalars` within a string, spelled in one way.
    static func spelled(_ scalars: ScalarRanges) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        let unescaped = scalars.intersection(plain)
        if !unescaped.ranges.isEmpty { parts.append(.scalars(unescaped)) }
        let short: [UInt32: String] = [8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 0x22: "\"", 0x5C: "\\"]
        for scalar in Array(0...0x1F) + [0x22, 0x5C] as [UInt32] where scalars.contains(scalar) {
            let hex = String(scalar, radix: 16)
            parts.append(.text("\\" + (short[scalar] ?? "u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex)))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    /// A list: `open`, items with commas between them, `close`.
    static func list(
        _ item: GrammarExpression, minimum: Int, maximum: Int?, _ open: String, _ close: String
    ) -> GrammarExpression {
        if maximum == 0 { return .text(open + close) }
        let more = GrammarExpression.repeated(
            .sequence([comma, item]), minimum: max(0, minimum - 1), maximum: maximum.map { $0 - 1 })
        let items = GrammarExpression.sequence([item, more])
        return .sequence([.text(open), minimum > 0 ? items : .optional(items), .text(close)])
    }

    // MARK: Numbers

    /// A fraction that is not zero at its end, so that it is never a whole number.
    private static let fraction = GrammarExpression.sequence([
        .text("."), .repeated(digit, minimum: 0, maximum: 15), nonzero,
    ])

    /// A number of up to sixteen digits on each side of the point: what a double holds.
    static let number: GrammarExpression = {
        let whole = GrammarExpression.choice([
            .text("0"), .sequence([nonzero, .repeated(digit, minimum: 0, maximum: 15)]),
        ])
        let part = GrammarExpression.sequence([.text("."), .repeated(digit, minimum: 1, maximum: 16)])
        let exponent = GrammarExpression.sequence([
            .scalars(ScalarRanges([0x45...0x45, 0x65...0x65])),
            .optional(.scalars(ScalarRanges([0x2B...0x2B, 0x2D...0x2D]))), nonzero,
            .optional(digit),
        ])
        return .sequence([.optional(.text("-")), whole, .optional(part), .optional(exponent)])
    }()

    /// The whole numbers from `low` to `high`.
    static func integers(_ low: Int, _ high: Int) -> GrammarExpression {
        guard low <= high else { return .never }
        var parts: [GrammarExpression] = []
        if low < 0 { parts.append(.sequence([.text("-"), natural(max(1, -min(high, -1)), -low)])) }
        if high >= 0 { parts.append(natural(max(low, 0), high)) }
        return .choice(parts)
    }

    /// Numbers from `low` to `high` that are not whole.
    static func fractions(_ low: Int, _ high: Int) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        if high > 0, high > low { parts.append(.sequence([natural(max(low, 0), high - 1), fraction])) }
        if low < 0, high > low { parts.append(.sequence([.text("-"), natural(max(0, -high), -low - 1), fraction])) }
        return .choice(parts)
    }

    /// The whole numbers from `low` to `high`, 0 ≤ low ≤ high, in decimal, by number of digits.
    private static func natural(_ low: Int, _ high: Int) -> GrammarExpression {
        guard low <= high else { return .never }
        var (parts, first): ([GrammarExpression], Int) = ([], low)
        while first <= high {
            let digits = String(first).utf8.count
            let last = digits >= 18 ? high : min(high, (0..<digits).reduce(1) { power, _ in power * 10 } - 1)
            parts.append(range(Array(String(first).utf8), Array(String(last).utf8)))
            if last == high { break }
            first = last + 1
        }
        return .choice(parts)
    }

    /// Digits of one length between two.
    private static func range(_ low: [UInt8], _ high: [UInt8]) -> GrammarExpression {
        guard let first = low.first, let last = high.first else { return .empty }
        let (lowRest, highRest) = (Array(low.dropFirst()), Array(high.dropFirst()))
        func one(_ a: UInt8, _ b: UInt8) -> GrammarExpression { .scalars(ScalarRanges([UInt32(a)...UInt32(b)])) }
        if first == last { return .sequence([one(first, first), range(lowRest, highRest)]) }
        let (zeros, nines) = (lowRest.allSatisfy { $0 == 48 }, highRest.allSatisfy { $0 == 57 })
        let free = GrammarExpression.repeated(digit, minimum: lowRest.count, maximum: lowRest.count)
        var parts: [GrammarExpression] = []
        if !zeros {
            parts.append(.sequence([one(first, first), range(lowRest, Array(repeating: 57, count: lowRest.count))]))
        }
        let (from, to) = (zeros ? first : first + 1, nines ? last : last - 1)
        if from <= to { parts.append(.sequence([one(from, to), free])) }
        if !nines {
            parts.append(.sequence([one(last, last), range(Array(repeating: 48, count: highRest.count), highRest)]))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }
}
