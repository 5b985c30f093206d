/// A reader of llama.cpp's GBNF: `name ::= alternatives`, with "literals", [classes], groups, `*`, `+`, `?`, `{m,n}`,
/// `.` and # comments. A text begins at `root`.
struct GrammarText {
    private let scalars: [Unicode.Scalar]
    private var at = 0
    private var depth = 0
    private var numbers: [String: Int] = [:]
    private var names: [String] = []
    private var rules: [GrammarExpression?] = []

    static func grammar(_ text: String) throws(ConstraintError) -> Grammar {
        var parser = GrammarText(text)
        _ = parser.rule(named: "root")
        parser.skip(lines: true)
        while parser.at < parser.scalars.count {
            try parser.readRule()
            parser.skip(lines: true)
        }
        var rules: [GrammarExpression] = []
        for (name, rule) in zip(parser.names, parser.rules) {
            guard let rule else {
                throw ConstraintError(
                    place: name, cause: "the rule is used but not written", remedy: "add \(name) ::= …")
            }
            rules.append(rule)
        }
        return try Grammar(rules: rules, names: parser.names)
    }

    private init(_ text: String) { scalars = Array(text.unicodeScalars) }

    private func offence(_ cause: String) -> ConstraintError {
        let line = scalars[..<min(at, scalars.count)].count { $0 == "\n" } + 1
        return ConstraintError(place: "line \(line)", cause: cause, remedy: "see llama.cpp's description of GBNF")
    }

    private mutating func rule(named name: String) -> Int {
        if let known = numbers[name] { return known }
        numbers[name] = names.count
        names.append(name)
        rules.append(nil)
        return names.count - 1
    }

    private var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        at += 1
        return true
    }

    /// Blanks and comments; over ends of lines where the rule goes on.
    private mutating func skip(lines: Bool) {
        while let scalar = next {
            if scalar == "#" {
                while let scalar = next, scalar != "\n" { at += scalar == "\n" ? 0 : 1 }
            } else if scalar == " " || scalar == "\t" || (lines && (scalar == "\n" || scalar == "\r")) {
                at += 1
            } else {
                return
            }
        }
    }

    private mutating func name() throws(ConstraintError) -> String {
        var name = String.UnicodeScalarView()
        while let scalar = next, scalar.isNameScalar {
            name.append(scalar)
            at += 1
        }
        guard !name.isEmpty else { throw offence("a rule's name is missing") }
        return String(name)
    }

    private mutating func readRule() throws(ConstraintError) {
        let name = try name()
        skip(lines: false)
        guard take(":"), take(":"), take("=") else { throw offence("::= is missing after \(name)") }
        let number = rule(named: name)
        guard rules[number] == nil else { throw offence("the rule \(name) is written twice") }
        guard names.count <= 10_000 else { throw offence("more than 10000 rules") }
        skip(lines: true)
        rules[number] = try alternatives(inGroup: false)
        guard next == nil || next == "\n" || next == "\r" else {
            throw offence("the rule \(name) ends in something unexpected")
        }
    }

    private mutating func alternatives(inGroup: Bool) throws(ConstraintError) -> GrammarExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 64 else { throw offence("groups are nested deeper than 64") }
        var parts = [try sequence(inGroup)]
        while take("|") {
            skip(lines: true)
            parts.append(try sequence(inGroup))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence(_ inGroup: Bool) throws(ConstraintError) -> GrammarExpression {
        var parts: [GrammarExpression] = []
        while let scalar = next {
            if scalar == "|" || scalar == ")" || scalar == "\n" || scalar == "\r" { break }
            parts.append(try repeated(atom()))
            skip(lines: inGroup)
            // An alternative may begin on the next line.
            if !inGroup, next == "\n" || next == "\r" {
                let before = at
                skip(lines: true)
                if next != "|" { at = before }
            }
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func repeated(_ atom: GrammarExpression) throws(ConstraintError) -> GrammarExpression {
        if take("*") { return .repeated(atom, minimum: 0, maximum: nil) }
        if take("+") { return .repeated(atom, minimum: 1, maximum: nil) }
        if take("?") { return .optional(atom) }
        guard take("{") else { return atom }
        let minimum = number() ?? 0
        let maximum = take(",") ? number() : minimum
        guard take("}"), maximum.map({ $0 >= minimum }) ?? true, max(minimum, maximum ?? 0) <= 10_000 else {
            throw offence("a repetition {m,n} that is not closed, runs backwards, or is above 10000")
        }
        return .repeated(atom, minimum: minimum, maximum: maximum)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = next, ("0"..."9").contains(scalar) {
            value = min(1_000_000, (value ?? 0) * 10 + Int(scalar.value) - 48)
            at += 1
        }
        return value
    }

    private mutating func atom() throws(ConstraintError) -> GrammarExpression {
        if take("\"") {
            var text = String.UnicodeScalarView()
            while !take("\"") { text.append(try scalar()) }
            return .text(String(text))
        }
        if take("[") { return .scalars(try scalarClass()) }
        if take(".") { return .scalars(.all) }
        if take("(") {
            skip(lines: true)
            let inner = try alternatives(inGroup: true)
            guard take(")") else { throw offence("a ( without its )") }
            return inner
        }
        return .rule(rule(named: try name()))
    }

    private mutating func scalarClass() throws(ConstraintError) -> ScalarRanges {
        let isInverse = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !take("]") {
            let first = try scalar().value
            guard next == "-", at + 1 < scalars.count, scalars[at + 1] != "]" else {
                ranges.append(first...first)
                continue
            }
            at += 1
            let last = try scalar().value
            guard last >= first else { throw offence("a range of a class that runs backwards") }
            ranges.append(first...last)
        }
        let set = ScalarRanges(ranges)
        return isInverse ? set.inverse : set
    }

    private mutating func scalar() throws(ConstraintError) -> Unicode.Scalar {
        guard let scalar = next else { throw offence("a literal or class that is not closed") }
        at += 1
        guard scalar == "\\" else { return scalar }
        guard let escaped = next else { throw offence("a \\ at the end") }
        at += 1
        switch escaped {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "U": return try hexadecimal(8)
        case "\\", "\"", "[", "]", "-", "^": return escaped
        default: throw offence("\\\(escaped) is not an escape")
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(ConstraintError) -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = next?.hexadecimalValue else { throw offence("\(count) hexadecimal digits are missing") }
            value = value << 4 | digit
            at += 1
        }
        guard let scalar = Unicode.Scalar(value) else { throw offence("an escape that names no scalar") }
        return scalar
    }
}

extension Unicode.Scalar {
    fileprivate var isNameScalar: Bool {
        switch self {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
        default: false
        }
    }
}
