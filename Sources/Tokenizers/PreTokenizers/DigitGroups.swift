/// A pattern that cuts runs of digits into threes from their end, so that groups stand as in 1 234 567: in one pass,
/// where a lookahead that counts the digits left costs the square of the run.
struct DigitGroupsPattern: Pattern {
    /// The rule for groups, by the expression that spells it.
    enum Rule: Sendable {
        /// Cuts by `(?=(\d{3})+(?!\d))`: an empty match before each whole group (SuperBPE).
        case cuts
        /// Matches of `\d{1,3}(?=(?:\d{3})*\b)`: the groups, unless a word goes on behind the digits (Tiny Aya).
        case groupsAtWordEnd
        /// Matches of `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`: the groups, of any numbers (AFMoE).
        case groups
    }

    static let spellings: [(String, Rule)] = [
        (#"(?=(\d{3})+(?!\d))"#, .cuts), (#"\d{1,3}(?=(?:\d{3})*\b)"#, .groupsAtWordEnd),
        (#"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#, .groups),
    ]

    let rule: Rule

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var starts: [Int] = []
        var start = 0
        while start < text.count {
            starts.removeAll(keepingCapacity: true)
            var end = start
            while end < text.count {
                let scalar = text.scalar(at: end)
                guard isDigit(ScalarProperties(scalar.value)) else { break }
                starts.append(end)
                end += scalar.length
            }
            if !starts.isEmpty, rule != .groupsAtWordEnd || !hasWord(text, end) { emit(starts, end, into: &found) }
            start = end < text.count ? end + text.scalar(at: end).length : end
        }
    }

    private func isDigit(_ properties: ScalarProperties) -> Bool {
        rule == .groups ? properties.isNumber : properties.isDecimalDigit
    }

    /// Returns whether a scalar is of `\w` of the reference's expressions: no joiners, and the fractions and powers of
    /// Latin-1.
    private func hasWord(_ text: Span<UInt8>, _ index: Int) -> Bool {
        guard index < text.count else { return false }
        let scalar = text.scalar(at: index).value
        switch scalar {
        case 0x200C, 0x200D: return false
        case 0xB2, 0xB3, 0xB9, 0xBC...0xBE: return true
        default: return ScalarProperties(scalar).isWord
        }
    }

    private func emit(_ starts: [Int], _ end: Int, into found: inout [Piece]) {
        let odd = starts.count % 3
        if odd > 0, rule != .cuts { found.append(Piece(starts[0], starts.count > odd ? starts[odd] : end)) }
        for index in stride(from: odd, to: starts.count, by: 3) {
            let next = index + 3 < starts.count ? starts[index + 3] : end
            found.append(Piece(starts[index], rule == .cuts ? starts[index] : next))
        }
    }
}
