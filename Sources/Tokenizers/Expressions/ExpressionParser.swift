/// A parser of the syntax that tokenizers' files use (Oniguruma's, of which Rust's and Python's are parts).
struct ExpressionParser {
    /// The depth to which groups and sets may lie in one another.
    private static let maximumDepth = 50
    /// The largest count of a repetition.
    private static let maximumCount = 1_000

    private let pattern: [Unicode.Scalar]
    private var index = 0
    private var depth = 0
    private var ignoresCase = false
    private var matchesNewlines = false
    private var isExtended = false

    /// The reason why an expression is not one that can be run.
    struct Failure: Error {
        let reason: String
    }

    static func parse(_ spelling: String) throws(Failure) -> ExpressionNode {
        var parser = ExpressionParser(pattern: Array(spelling.unicodeScalars))
        let node = try parser.choice()
        guard parser.index == parser.pattern.count else { throw Failure(reason: "a closing bracket too many") }
        return node
    }

    private init(pattern: [Unicode.Scalar]) { self.pattern = pattern }

    private var current: Unicode.Scalar? { index < pattern.count ? pattern[index] : nil }

    private func starts(_ text: String) -> Bool { pattern.dropFirst(index).starts(with: text.unicodeScalars) }

    private mutating func skip(_ text: String) -> Bool {
        guard starts(text) else { return false }
        index += text.unicodeScalars.count
        return true
    }

    private mutating func nested<Value>(_ body: (inout ExpressionParser) throws(Failure) -> Value) throws(Failure)
        -> Value
    {
        guard depth < ExpressionParser.maximumDepth else {
            throw Failure(reason: "brackets more than \(ExpressionParser.maximumDepth) deep")
        }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func choice() throws(Failure) -> ExpressionNode {
        let flags = (ignoresCase, matchesNewlines, isExtended)
        defer { (ignoresCase, matchesNewlines, isExtended) = flags }
        var parts = [try sequence()]
        while skip("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private mutating func sequence() throws(Failure) -> ExpressionNode {
        var parts: [ExpressionNode] = []
        while let scalar = current, scalar != "|", scalar != ")" {
            if isExtended, scalar.properties.isWhitespace {
                index += 1
                continue
            }
            if let atom = try atom() { parts.append(try repeated(atom)) }
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    // MARK: Repetitions

    private mutating func repeated(_ atom: ExpressionNode) throws(Failure) -> ExpressionNode {
        var node = atom
        while let (least, most) = try counts() {
            guard least <= most ?? .max else { throw Failure(reason: "a repetition from \(least) to \(most ?? 0)") }
            let preference: ExpressionNode.Preference =
                skip("+") ? .possessive : skip("?") ? .shortest : .longest
            node = try nested { (_) throws(Failure) in
                .repetition(node, least: least, most: most, preference)
            }
        }
        return node
    }

    private mutating func counts() throws(Failure) -> (Int, Int?)? {
        if skip("*") { return (0, nil) }
        if skip("+") { return (1, nil) }
        if skip("?") { return (0, 1) }
        guard current == "{", let close = pattern[index...].firstIndex(of: "}") else { return nil }
        let parts = pattern[(index + 1)..<close].split(separator: ",", omittingEmptySubsequences: false)
        func number(_ part: ArraySlice<Unicode.Scalar>) -> Int? { Int(String(String.UnicodeScalarView(part))) }
        guard (1...2).contains(parts.count), parts.allSatisfy({ $0.isEmpty || number($0) != nil }),
            parts.contains(where: { !$0.isEmpty })
        else { return nil }
        index = close + 1
        let least = number(parts[0]) ?? 0
        let most = parts.count == 1 ? least : number(parts[1])
        guard (0...ExpressionParser.maximumCount).contains(least), (most ?? 0) <= ExpressionParser.maximumCount,
            (most ?? 0) >= 0
        else { throw Failure(reason: "a repetition of more than \(ExpressionParser.maximumCount)") }
        return (least, most)
    }

    // MARK: Atoms

    /// The next atom; nil for what sets flags only.
    private mutating func atom() throws(Failure) -> ExpressionNode? {
        guard let scalar = current else { throw Failure(reason: "its end where something was expected") }
        switch scalar {
        case "(": return try group()
        case "[": return .set(try bracket())
        case "\\": return try escape()
        case "*", "+", "?": throw Failure(reason: "\(scalar) with nothing in front to repeat")
        default: index += 1
        }
        switch scalar {
        case ".": return .set(ExpressionSet(matchesNewlines ? [] : [.range(10...10)], isComplement: true))
        case "^": return .anchor(.lineStart)
        case "$": return .anchor(.lineEnd)
        default: return .set(ExpressionSet([.range(scalar.value...scalar.value)], ignoresCase: ignoresCase))
        }
    }

    private mutating func group() throws(Failure) -> ExpressionNode? {
        try nested { parser throws(Failure) in try parser.groupInside() }
    }

    private mutating func groupInside() throws(Failure) -> ExpressionNode? {
        index += 1
        guard skip("?") else { return try closed() }
        if skip(":") { return try closed() }
        if skip(">") { return .atomic(try closed()) }
        if skip("=") { return .ahead(try closed(), isNegative: false) }
        if skip("!") { return .ahead(try closed(), isNegative: true) }
        if skip("#") {
            while let scalar = current, scalar != ")" { index += scalar == "\\" ? 2 : 1 }
            guard skip(")") else { throw Failure(reason: "a comment without an end") }
            return nil
        }
        for (sign, isNegative) in [("<=", false), ("<!", true)] where skip(sign) {
            guard let alternatives = try closed().fixedAlternatives else {
                throw Failure(reason: "a look behind whose length is not fixed")
            }
            return .behind(alternatives, isNegative: isNegative)
        }
        if skip("<") || skip("P<") {
            while let scalar = current, scalar != ">" { index += scalar == ")" ? pattern.count : 1 }
            guard skip(">") else { throw Failure(reason: "a group's name without an end") }
            return try closed()
        }
        return try flagged()
    }

    /// A group with flags: `(?i)` for the rest of the group at hand, `(?i:…)` for one of its own.
    private mutating func flagged() throws(Failure) -> ExpressionNode? {
        let before = (ignoresCase, matchesNewlines, isExtended)
        var value = true
        while let scalar = current, scalar != ":", scalar != ")" {
            index += 1
            switch scalar {
            case "-": value = false
            case "i": ignoresCase = value
            case "m", "s": matchesNewlines = value
            case "x": isExtended = value
            case "u": break
            default: throw Failure(reason: "the flag \(scalar)")
            }
        }
        if skip(")") { return nil }
        guard skip(":") else { throw Failure(reason: "a group without an end") }
        let body = try closed()
        (ignoresCase, matchesNewlines, isExtended) = before
        return body
    }

    /// The rest of a group, up to its closing bracket.
    private mutating func closed() throws(Failure) -> ExpressionNode {
        let body = try choice()
        guard skip(")") else { throw Failure(reason: "a group without an end") }
        return body
    }

    private mutating func escape() throws(Failure) -> ExpressionNode {
        let anchors: [(String, ExpressionNode.Anchor)] = [
            ("\\A", .textStart), ("\\z", .textEnd), ("\\Z", .lastLineEnd), ("\\b", .wordBoundary),
            ("\\B", .noWordBoundary),
        ]
        for (sign, anchor) in anchors where skip(sign) { return .anchor(anchor) }
        if skip("\\R") {
            let lines = ExpressionNode.set(
                ExpressionSet([.range(10...13), .range(0x85...0x85), .range(0x2028...0x2029)]))
            let pair = "\r\n".unicodeScalars.map { ExpressionNode.set(ExpressionSet([.range($0.value...$0.value)])) }
            return .atomic(.choice([.sequence(pair), lines]))
        }
        return .set(ExpressionSet([try escapedItem(inBracket: false)], ignoresCase: ignoresCase))
    }

    // MARK: Sets

    private mutating func bracket() throws(Failure) -> ExpressionSet {
        try nested { parser throws(Failure) in try parser.bracketInside() }
    }

    private mutating func bracketInside() throws(Failure) -> ExpressionSet {
        index += 1
        let isComplement = skip("^")
        var sets: [ExpressionSet] = []
        var items: [ExpressionSet.Item] = []
        let start = index
        while let scalar = current, scalar != "]" || index == start {
            if skip("&&") {
                sets.append(ExpressionSet(items, ignoresCase: ignoresCase))
                items = []
                continue
            }
            let item = try bracketItem()
            guard case .range(let low) = item, low.count == 1, current == "-", index + 1 < pattern.count,
                pattern[index + 1] != "]"
            else {
                items.append(item)
                continue
            }
            index += 1
            guard case .range(let high) = try bracketItem(), high.count == 1, high.lowerBound >= low.lowerBound else {
                throw Failure(reason: "a range that ends before it begins")
            }
            items.append(.range(low.lowerBound...high.lowerBound))
        }
        guard skip("]") else { throw Failure(reason: "a set without an end") }
        if !sets.isEmpty { items = [.intersection(sets + [ExpressionSet(items, ignoresCase: ignoresCase)])] }
        return ExpressionSet(items, isComplement: isComplement, ignoresCase: ignoresCase)
    }

    private mutating func bracketItem() throws(Failure) -> ExpressionSet.Item {
        if starts("[:"), let close = pattern[index...].firstIndex(of: "]"), pattern[close - 1] == ":" {
            let name = String(String.UnicodeScalarView(pattern[(index + 2)..<(close - 1)]))
            guard let property = ScalarProperty("[[:\(name):]]") else { throw Failure(reason: "the set [:\(name):]") }
            index = close + 1
            return .other(property)
        }
        guard let scalar = current else { throw Failure(reason: "a set without an end") }
        if scalar == "[" { return .nested(try bracket()) }
        if scalar == "\\" { return try escapedItem(inBracket: true) }
        index += 1
        return .range(scalar.value...scalar.value)
    }

    /// An escape: `\d`, `\p{L}`, `\x{41}`, `\n`, and signs that stand for themselves.
    private mutating func escapedItem(inBracket: Bool) throws(Failure) -> ExpressionSet.Item {
        index += 1
        guard let scalar = current else { throw Failure(reason: "a backslash at its end") }
        index += 1
        func complement(_ items: [ExpressionSet.Item]) -> ExpressionSet.Item {
            .nested(ExpressionSet(items, isComplement: true))
        }
        func one(_ value: UInt32) -> ExpressionSet.Item { .range(value...value) }
        switch scalar {
        case "d": return .categories(1 << 8)
        case "D": return complement([.categories(1 << 8)])
        case "s": return .space
        case "S": return complement([.space])
        case "w": return .word
        case "W": return complement([.word])
        case "h": return .nested(ExpressionSet([.range(0x30...0x39), .range(0x41...0x46), .range(0x61...0x66)]))
        case "p", "P": return try property(isComplement: scalar == "P")
        case "n": return one(10)
        case "r": return one(13)
        case "t": return one(9)
        case "f": return one(12)
        case "v": return one(11)
        case "a": return one(7)
        case "e": return one(27)
        case "b" where inBracket: return one(8)
        case "x", "u", "U": return one(try hexadecimal(scalar))
        case "0": return one(0)
        case "1"..."9": throw Failure(reason: "\\\(scalar), which refers back to what a group matched")
        default:
            guard !scalar.properties.isAlphabetic else { throw Failure(reason: "the escape \\\(scalar)") }
            return one(scalar.value)
        }
    }

    private mutating func hexadecimal(_ kind: Unicode.Scalar) throws(Failure) -> UInt32 {
        var digits = pattern[index...].prefix(kind == "x" ? 2 : kind == "u" ? 4 : 8)
        if current == "{" {
            guard let close = pattern[index...].firstIndex(of: "}") else { throw Failure(reason: "a broken escape") }
            digits = pattern[(index + 1)..<close]
            index = close + 1
        } else {
            digits = digits.prefix { $0.properties.isASCIIHexDigit }
            index += digits.count
        }
        guard let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16), Unicode.Scalar(value) != nil
        else { throw Failure(reason: "an escape that is no scalar") }
        return value
    }

    private mutating func property(isComplement: Bool) throws(Failure) -> ExpressionSet.Item {
        var name = current.map { String($0) } ?? ""
        index += 1
        if name == "{" {
            guard let close = pattern[index...].firstIndex(of: "}") else { throw Failure(reason: "a broken property") }
            name = String(String.UnicodeScalarView(pattern[index..<close]))
            index = close + 1
        }
        let isNegated = name.hasPrefix("^")
        if isNegated { name.removeFirst() }
        let item: ExpressionSet.Item
        if let mask = ScalarSet.categoryMask(name) {
            item = .categories(mask)
        } else {
            let isName = name.unicodeScalars.allSatisfy {
                $0.isASCII && ($0.properties.isAlphabetic || "_= ".unicodeScalars.contains($0))
            }
            guard isName, let property = ScalarProperty("\\p{\(name)}") else {
                throw Failure(reason: "the property \(name)")
            }
            item = .other(property)
        }
        return isComplement != isNegated ? .nested(ExpressionSet([item], isComplement: true)) : item
    }
}
