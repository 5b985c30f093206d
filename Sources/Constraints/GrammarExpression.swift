/// A grammar as written: what a JSON schema, a regular expression and a GBNF text are translated to.
indirect enum GrammarExpression: Sendable, Hashable {
    case bytes([UInt8])
    /// One of these Unicode scalars, as UTF-8.
    case scalars(ScalarRanges)
    case sequence([GrammarExpression])
    case choice([GrammarExpression])
    /// A repetition: at least `minimum` times, and at most `maximum` where there is one.
    case repeated(GrammarExpression, minimum: Int, maximum: Int?)
    case rule(Int)

    static let empty = GrammarExpression.sequence([])
    /// A grammar of no text at all.
    static let never = GrammarExpression.choice([])

    static func text(_ text: String) -> GrammarExpression { .bytes(Array(text.utf8)) }
    static func optional(_ expression: GrammarExpression) -> GrammarExpression {
        .repeated(expression, minimum: 0, maximum: 1)
    }
}

/// A set of Unicode scalar values as ascending ranges that do not touch; surrogates are never in it.
struct ScalarRanges: Sendable, Hashable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    static let all = ScalarRanges([0...0x10FFFF])

    init(_ ranges: [ClosedRange<UInt32>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            for part in [range.clamped(below: 0xD7FF), range.clamped(above: 0xE000)] {
                guard let part else { continue }
                if let last = self.ranges.last,
                    part.lowerBound <= last.upperBound || part.lowerBound == last.upperBound + 1
                {
                    self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, part.upperBound)
                } else {
                    self.ranges.append(part)
                }
            }
        }
    }

    init(_ scalar: UInt32) { self.init([scalar...scalar]) }

    var inverse: ScalarRanges {
        var (inverse, next): ([ClosedRange<UInt32>], UInt32) = ([], 0)
        for range in ranges {
            if range.lowerBound > next { inverse.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { inverse.append(next...0x10FFFF) }
        return ScalarRanges(inverse)
    }

    func union(_ other: ScalarRanges) -> ScalarRanges { ScalarRanges(ranges + other.ranges) }
    func intersection(_ other: ScalarRanges) -> ScalarRanges { inverse.union(other.inverse).inverse }
    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

    /// The UTF-8 of these scalars as sequences of byte ranges, shortest first: ranges are cut where the number of bytes
    /// changes and where not all trailing bytes are free.
    var utf8: [[ClosedRange<UInt8>]] {
        var sequences: [[ClosedRange<UInt8>]] = []
        for range in ranges {
            for (first, last, length) in [(0, 0x7F, 1), (0x80, 0x7FF, 2), (0x800, 0xFFFF, 3), (0x10000, 0x10FFFF, 4)]
                as [(UInt32, UInt32, Int)]
            {
                let (low, high) = (max(range.lowerBound, first), min(range.upperBound, last))
                if low <= high { ScalarRanges.split(low, high, length, into: &sequences) }
            }
        }
        return sequences
    }

    private static func split(
        _ low: UInt32, _ high: UInt32, _ length: Int, into sequences: inout [[ClosedRange<UInt8>]]
    ) {
        for trailing in 1..<max(length, 1) {
            let mask = UInt32(1) << UInt32(6 * trailing) - 1
            guard low & ~mask != high & ~mask else { continue }
            if low & mask != 0 {
                split(low, low | mask, length, into: &sequences)
                return split((low | mask) + 1, high, length, into: &sequences)
            }
            if high & mask != mask {
                split(low, (high & ~mask) - 1, length, into: &sequences)
                return split(high & ~mask, high, length, into: &sequences)
            }
        }
        sequences.append(zip(encoded(low, length), encoded(high, length)).map { $0...$1 })
    }

    private static func encoded(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        guard length > 1 else { return [UInt8(scalar)] }
        let lead: [UInt32] = [0, 0, 0xC0, 0xE0, 0xF0]
        return (0..<length).map { place in
            let bits = scalar >> UInt32(6 * (length - 1 - place))
            return UInt8(place == 0 ? lead[length] | bits : 0x80 | bits & 0x3F)
        }
    }
}

extension ClosedRange<UInt32> {
    fileprivate func clamped(below last: UInt32) -> ClosedRange<UInt32>? {
        lowerBound <= last ? lowerBound...Swift.min(upperBound, last) : nil
    }
    fileprivate func clamped(above first: UInt32) -> ClosedRange<UInt32>? {
        upperBound >= first ? Swift.max(lowerBound, first)...upperBound : nil
    }
}
