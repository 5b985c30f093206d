/// A regular expression of the commonest shape: perhaps one scalar of a set, then a run of another set, perhaps at a
/// line's end.
///
/// `\p{N}{1,3}`, `\s?[A-Za-z]+`, `[\r\n]`, `\s+$` and the like; read without an engine, matched in one pass.
struct ClassPattern: Pattern {
    private var lead: ScalarClass?
    private let body: ScalarClass
    private var limit = 1
    private var endsLine = false

    /// - Returns: nil for an expression of another shape.
    init?(_ regex: String) {
        let pattern = regex.unicodeScalars.map(\.value)
        var index = 0
        guard var first = ScalarSet(pattern, at: &index) else { return nil }
        if index < pattern.count, pattern[index] == 0x3F {  // ?
            index += 1
            lead = ScalarClass(first)
            guard let second = ScalarSet(pattern, at: &index) else { return nil }
            first = second
        }
        body = ScalarClass(first)
        guard let limit = ClassPattern.readQuantifier(pattern, &index) else { return nil }
        self.limit = limit
        if index < pattern.count, pattern[index] == 0x24, limit == .max {  // $
            endsLine = true
            index += 1
        }
        guard index == pattern.count else { return nil }
    }

    /// Reads `+`, `{1,n}`, `{1}` or nothing, possessive or not; the longest run allowed.
    private static func readQuantifier(_ pattern: [UInt32], _ index: inout Int) -> Int? {
        let rest = pattern[index...].prefix { $0 != 0x24 }
        let text = String(String.UnicodeScalarView(rest.compactMap(Unicode.Scalar.init)))
        index += rest.count
        if text.isEmpty { return 1 }
        if text.utf8.elementsEqual("+".utf8) || text.utf8.elementsEqual("++".utf8) { return .max }
        guard text.hasPrefix("{1,"), let close = text.utf8.firstIndex(of: UInt8(ascii: "}")) else { return nil }
        let tail = text[close...].utf8
        guard tail.elementsEqual("}".utf8) || tail.elementsEqual("}+".utf8) else { return nil }
        let digits = text[text.index(text.startIndex, offsetBy: 3)..<close]
        if digits.isEmpty { return .max }
        guard let limit = Int(digits), limit > 0, digits.utf8.count < 6 else { return nil }
        return limit
    }

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var start = 0
        while start < text.count {
            let first = text.scalar(at: start)
            var end = start
            if let lead, lead.contains(first.value), start + first.length < text.count {
                end = self.end(text, from: start + first.length)
                if end == start + first.length { end = start }
            }
            if end == start { end = self.end(text, from: start) }
            if end > start {
                if endsLine, end != text.count, text[end] != 10 {
                    start = end
                    continue
                }
                found.append(Piece(start, end))
                start = end
            } else {
                start += first.length
            }
        }
    }

    /// The end of the run of the body at `start`, which is `start` when there is none.
    private func end(_ text: Span<UInt8>, from start: Int) -> Int {
        var (index, left, lineEnd) = (start, limit, start)
        while index < text.count, left > 0 {
            let scalar = text.scalar(at: index)
            guard body.contains(scalar.value) else { break }
            if endsLine, scalar.value == 10, index > start { lineEnd = index }
            index += scalar.length
            left -= 1
        }
        return endsLine && index < text.count && text[index] != 10 && lineEnd > start ? lineEnd : index
    }
}

/// A set of scalars with the answers for ASCII at hand.
struct ScalarClass: Sendable {
    private let set: ScalarSet
    private var ascii: (UInt64, UInt64) = (0, 0)

    init(_ set: ScalarSet) {
        self.set = set
        for scalar in UInt32(0)..<64 where set.contains(scalar) { ascii.0 |= 1 << UInt64(scalar) }
        for scalar in UInt32(64)..<128 where set.contains(scalar) { ascii.1 |= 1 << UInt64(scalar - 64) }
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return ascii.0 >> UInt64(scalar) & 1 == 1 }
        if scalar < 128 { return ascii.1 >> UInt64(scalar - 64) & 1 == 1 }
        return set.contains(scalar)
    }
}
