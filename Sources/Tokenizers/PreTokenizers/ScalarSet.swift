/// A set of scalars as a bracket expression spells it: scalars, ranges, properties, nested sets, perhaps the
/// complement.
struct ScalarSet: Sendable {
    private var ranges: [ClosedRange<UInt32>] = []
    /// A bit per general category, in the order of ``ScalarProperties/category``.
    private var categories: UInt32 = 0
    private var hasSpaces = false
    private var hasNonSpaces = false
    private var parts: [ScalarSet] = []
    private var isComplement = false

    func contains(_ scalar: UInt32) -> Bool {
        let properties = ScalarProperties(scalar)
        let isMember =
            ranges.contains { $0.contains(scalar) } || categories >> UInt32(properties.category) & 1 == 1
            || hasSpaces && properties.isSpace || hasNonSpaces && !properties.isSpace
            || parts.contains { $0.contains(scalar) }
        return isMember != isComplement
    }

    /// Reads one item of `pattern` at `index`: a scalar, an escape, a dot, or a bracket expression. Nil for anything
    /// else, or for what only the general engine knows.
    init?(_ pattern: [UInt32], at index: inout Int, depth: Int = 0) {
        guard index < pattern.count, depth < 8 else { return nil }
        switch Unicode.Scalar(pattern[index]) {
        case "[":
            index += 1
            guard readBracket(pattern, &index, depth) else { return nil }
        case "\\": guard readEscape(pattern, &index) else { return nil }
        case "(", ")", "|", "*", "+", "?", "{", "}", "^", "$", ".", "]": return nil
        default:
            ranges = [pattern[index]...pattern[index]]
            index += 1
        }
    }

    private mutating func readBracket(_ pattern: [UInt32], _ index: inout Int, _ depth: Int) -> Bool {
        if index < pattern.count, pattern[index] == 0x5E {
            isComplement = true
            index += 1
        }
        let start = index
        while index < pattern.count {
            let scalar = pattern[index]
            if scalar == 0x5D {  // ]
                guard index > start else { return false }
                index += 1
                return true
            }
            if scalar == 0x5B {  // [
                guard index + 1 < pattern.count, pattern[index + 1] != 0x3A,
                    let part = ScalarSet(pattern, at: &index, depth: depth + 1)
                else { return false }
                parts.append(part)
                continue
            }
            if scalar == 0x26, index + 1 < pattern.count, pattern[index + 1] == 0x26 { return false }
            let before = self
            guard let low = readMember(pattern, &index) else { return false }
            guard case .scalar(let first) = low else { continue }
            if index + 1 < pattern.count, pattern[index] == 0x2D, pattern[index + 1] != 0x5D {
                index += 1
                self = before
                guard case .scalar(let last) = readMember(pattern, &index), last >= first else { return false }
                self = before
                ranges.append(first...last)
            }
        }
        return false
    }

    private enum Member {
        case scalar(UInt32)
        case several
    }

    /// Takes in a scalar or an escape.
    private mutating func readMember(_ pattern: [UInt32], _ index: inout Int) -> Member? {
        guard index < pattern.count else { return nil }
        if pattern[index] == 0x5C {
            let count = ranges.count
            guard readEscape(pattern, &index) else { return nil }
            return ranges.count > count ? .scalar(ranges[count].lowerBound) : .several
        }
        ranges.append(pattern[index]...pattern[index])
        index += 1
        return .scalar(pattern[index - 1])
    }

    /// Takes in `\s`, `\p{L}`, `\n`, an escaped sign and their like.
    private mutating func readEscape(_ pattern: [UInt32], _ index: inout Int) -> Bool {
        guard index + 1 < pattern.count, let escaped = Unicode.Scalar(pattern[index + 1]) else { return false }
        index += 2
        switch escaped {
        case "s": hasSpaces = true
        case "S": hasNonSpaces = true
        case "d": categories |= 1 << 8
        case "n": ranges.append(10...10)
        case "r": ranges.append(13...13)
        case "t": ranges.append(9...9)
        case "p": return readProperty(pattern, &index)
        case "x":
            guard index < pattern.count, pattern[index] == 0x7B, let close = pattern[index...].firstIndex(of: 0x7D),
                let value = UInt32(ScalarSet.text(pattern[(index + 1)..<close]), radix: 16), value <= 0x10FFFF
            else { return false }
            ranges.append(value...value)
            index = close + 1
        case let sign where sign.isASCII && !sign.properties.isAlphabetic && !("0"..."9").contains(sign):
            ranges.append(sign.value...sign.value)
        default: return false
        }
        return true
    }

    private mutating func readProperty(_ pattern: [UInt32], _ index: inout Int) -> Bool {
        guard index < pattern.count, pattern[index] == 0x7B,
            let close = pattern[index...].firstIndex(of: 0x7D)
        else { return false }
        guard let mask = ScalarSet.categoryMask(ScalarSet.text(pattern[(index + 1)..<close])) else { return false }
        categories |= mask
        index = close + 1
        return true
    }

    private static func text(_ scalars: ArraySlice<UInt32>) -> String {
        String(String.UnicodeScalarView(scalars.compactMap(Unicode.Scalar.init)))
    }

    private static let categoryNames = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]

    /// The bits of a category (`Lu`) or a group of them (`L`).
    static func categoryMask(_ name: String) -> UInt32? {
        var mask: UInt32 = 0
        for (bit, category) in categoryNames.enumerated()
        where category.utf8.elementsEqual(name.utf8) || name.utf8.count == 1 && category.utf8.first == name.utf8.first {
            mask |= 1 << UInt32(bit)
        }
        return mask == 0 ? nil : mask
    }
}
