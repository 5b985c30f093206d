/// Regular expressions as JSON Schema's `pattern` and most languages write them, translated to a grammar: literals,
/// classes, groups, alternatives, repetitions, `^` and `$` at the ends. What looks around or back is refused.
struct RegularExpression {
    private let scalars: [Unicode.Scalar]
    private var at = 0
    private var depth = 0
    /// The spelling of a set of scalars in the text: as it is, or inside a JSON string.
    private let spelled: (ScalarRanges) -> GrammarExpression

    /// - Parameters:
    ///   - searches: whether the expression may stand anywhere in the text unless `^` and `$` say otherwise, as
    ///     `pattern` does.
    static func expression(
        _ pattern: String, searches: Bool, spelled: @escaping (ScalarRanges) -> GrammarExpression = { .scalars($0) }
    ) throws(ConstraintError) -> GrammarExpression {
        var parser = RegularExpression(pattern, spelled)
        let begins = parser.take("^")
        var ends = false
        if parser.scalars.last == "$", !parser.isEscaped(parser.scalars.count - 1) {
            ends = true
            parser = RegularExpression(String(String.UnicodeScalarView(parser.scalars.dropLast())), spelled)
            if begins { _ = parser.take("^") }
        }
        let inner = try parser.alternatives()
        guard parser.at == parser.scalars.count else { throw parser.offence("a ) without its (") }
        if (begins || ends), case .choice(let parts) = inner, parts.count > 1 {
            throw parser.offence(
                "^ and $ beside | belong to one alternative only", "put the alternatives in parentheses")
        }
        guard searches else { return inner }
        let anything = GrammarExpression.repeated(spelled(.all), minimum: 0, maximum: nil)
        return .sequence([begins ? .empty : anything, inner, ends ? .empty : anything])
    }

    private init(_ pattern: String, _ spelled: @escaping (ScalarRanges) -> GrammarExpression) {
        scalars = Array(pattern.unicodeScalars)
        self.spelled = spelled
    }

    private func offence(_ cause: String, _ remedy: String = "write it otherwise") -> ConstraintError {
        ConstraintError(place: "scalar \(at)", cause: cause, remedy: remedy)
    }

    private func isEscaped(_ index: Int) -> Bool {
        scalars[..<index].reversed().prefix { $0 == "\\" }.count % 2 == 1
    }

    private var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        at += 1
        return true
    }

    private mutating func alternatives() throws(ConstraintError) -> GrammarExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 64 else { throw offence("groups are nested deeper than 64") }
        var parts = [try sequence()]
        while take("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(ConstraintError) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        while let scalar = next, scalar != "|", scalar != ")" { parts.append(try repeated(atom())) }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func repeated(_ atom: GrammarExpression) throws(ConstraintError) -> GrammarExpression {
        var result = atom
        var count = 0
        while let (minimum, maximum) = try repetition() {
            count += 1
            guard count == 1 else { throw offence("a repetition of a repetition", "put the inner one in parentheses") }
            result = .repeated(result, minimum: minimum, maximum: maximum)
            // Which of several matches is preferred makes no difference to what may be written.
            if take("+") { throw offence("possessive repetitions are not supported") }
            _ = take("?")
        }
        return result
    }

    private mutating func repetition() throws(ConstraintError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard next == "{", at + 1 < scalars.count, digit(scalars[at + 1]) != nil || scalars[at + 1] == "," else {
            return nil
        }
        at += 1
        let minimum = number() ?? 0
        let maximum = take(",") ? number() : minimum
        guard take("}") else { throw offence("a { without its }") }
        guard maximum.map({ $0 >= minimum }) ?? true else {
            throw offence("the repetition {\(minimum),\(maximum ?? 0)} has no number")
        }
        guard max(minimum, maximum ?? 0) <= 10_000 else {
            throw offence("a repetition of more than 10000", "lower the count")
        }
        return (minimum, maximum)
    }

    private func digit(_ scalar: Unicode.Scalar) -> Int? { ("0"..."9").contains(scalar) ? Int(scalar.value) - 48 : nil }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = next, let digit = digit(scalar) {
            value = min(1_000_000, (value ?? 0) * 10 + digit)
            at += 1
        }
        return value
    }

    private mutating func atom() throws(ConstraintError) -> GrammarExpression {
        guard let scalar = next else { return .empty }
        at += 1
        switch scalar {
        case "(": return try group()
        case "[": return spelled(try scalarClass())
        case ".": return spelled(ScalarRanges([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029]).inverse)
        case "\\": return spelled(try escaped(inClass: false))
        case "*", "+", "?": throw offence("a repetition of nothing")
        case "^", "$": throw offence("anchors are supported at the ends of the whole expression only")
        default: return spelled(ScalarRanges(scalar.value))
        }
    }

    private mutating func group() throws(ConstraintError) -> GrammarExpression {
        if take("?") {
            if take("<") || take("P") {
                guard next != "=", next != "!" else { throw offence("looking around is not supported") }
                while let scalar = next, scalar != ">" { at += scalar == ")" ? scalars.count : 1 }
                guard take(">") else { throw offence("a group's name without its >") }
            } else if !take(":") {
                throw offence("looking around and flags are not supported")
            }
        }
        let inner = try alternatives()
        guard take(")") else { throw offence("a ( without its )") }
        return inner
    }

    private mutating func scalarClass() throws(ConstraintError) -> ScalarRanges {
        let isInverse = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while let scalar = next, scalar != "]" {
            at += 1
            let low = scalar == "\\" ? try escaped(inClass: true) : ScalarRanges(scalar.value)
            guard next == "-", at + 1 < scalars.count, scalars[at + 1] != "]", let first = low.single else {
                ranges += low.ranges
                continue
            }
            at += 1
            let end = scalars[at]
            at += 1
            let high = end == "\\" ? try escaped(inClass: true) : ScalarRanges(end.value)
            guard let last = high.single, last >= first else { throw offence("a range of a class that runs backwards") }
            ranges.append(first...last)
        }
        guard take("]") else { throw offence("a [ without its ]") }
        let set = ScalarRanges(ranges)
        return isInverse ? set.inverse : set
    }

    private static let words = ScalarRanges([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    private static let digits = ScalarRanges([0x30...0x39])
    private static let blanks = ScalarRanges([0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0xFEFF...0xFEFF, 0x2028...0x2029])

    private mutating func escaped(inClass: Bool) throws(ConstraintError) -> ScalarRanges {
        guard let scalar = next else { throw offence("a \\ at the end") }
        at += 1
        switch scalar {
        case "d": return RegularExpression.digits
        case "D": return RegularExpression.digits.inverse
        case "w": return RegularExpression.words
        case "W": return RegularExpression.words.inverse
        case "s": return RegularExpression.blanks
        case "S": return RegularExpression.blanks.inverse
        case "n": return ScalarRanges(0x0A)
        case "r": return ScalarRanges(0x0D)
        case "t": return ScalarRanges(0x09)
        case "f": return ScalarRanges(0x0C)
        case "v": return ScalarRanges(0x0B)
        case "0": return ScalarRanges(0)
        case "b" where inClass: return ScalarRanges(8)
        case "x": return ScalarRanges(try hexadecimal(2))
        case "u": return ScalarRanges(try codePoint())
        default:
            guard !scalar.isASCIILetterOrDigit else { throw offence("\\\(scalar) is not supported") }
            return ScalarRanges(scalar.value)
        }
    }

    private mutating func codePoint() throws(ConstraintError) -> UInt32 {
        guard take("{") else { return try hexadecimal(4) }
        var value: UInt32 = 0
        while let digit = next?.hexadecimalValue {
            value = min(0x110000, value << 4 | digit)
            at += 1
        }
        guard take("}"), value <= 0x10FFFF else { throw offence("\\u{…} names no scalar") }
        return value
    }

    private mutating func hexadecimal(_ count: Int) throws(ConstraintError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = next?.hexadecimalValue else { throw offence("\(count) hexadecimal digits are missing") }
            value = value << 4 | digit
            at += 1
        }
        return value
    }
}

extension ScalarRanges {
    /// The only scalar, if there is one.
    var single: UInt32? { ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil }
}

extension Unicode.Scalar {
    /// The value of the scalar as a hexadecimal digit.
    var hexadecimalValue: UInt32? {
        switch self {
        case "0"..."9": value - 48
        case "a"..."f": value - 87
        case "A"..."F": value - 55
        default: nil
        }
    }

    fileprivate var isASCIILetterOrDigit: Bool {
        ("a"..."z").contains(self) || ("A"..."Z").contains(self) || ("0"..."9").contains(self)
    }
}
