import Synchronization

/// A set of scalars as an expression spells it, with the answers for ASCII at hand.
final class ExpressionSet: Sendable {
    /// An item of a set: it holds what any of its items holds.
    enum Item: Sendable {
        case range(ClosedRange<UInt32>)
        /// A bit per general category, in the order of ``ScalarProperties/category``.
        case categories(UInt32)
        case space
        case word
        case nested(ExpressionSet)
        /// The intersection of several sets.
        case intersection([ExpressionSet])
        /// A property that only the standard library's tables know.
        case other(ScalarProperty)
    }

    private let items: [Item]
    private let isComplement: Bool
    private let ignoresCase: Bool
    private let ascii: (UInt64, UInt64)

    init(_ items: [Item], isComplement: Bool = false, ignoresCase: Bool = false) {
        (self.items, self.isComplement, self.ignoresCase) = (items, isComplement, ignoresCase)
        var bits: (UInt64, UInt64) = (0, 0)
        for scalar in UInt32(0)..<128
        where ExpressionSet.contains(scalar, items, isComplement: isComplement, ignoresCase: ignoresCase) {
            if scalar < 64 { bits.0 |= 1 << UInt64(scalar) } else { bits.1 |= 1 << UInt64(scalar - 64) }
        }
        ascii = bits
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return ascii.0 >> UInt64(scalar) & 1 == 1 }
        if scalar < 128 { return ascii.1 >> UInt64(scalar - 64) & 1 == 1 }
        return ExpressionSet.contains(scalar, items, isComplement: isComplement, ignoresCase: ignoresCase)
    }

    private static func contains(_ scalar: UInt32, _ items: [Item], isComplement: Bool, ignoresCase: Bool) -> Bool {
        var isMember = items.contains { contains(scalar, $0) }
        if !isMember, ignoresCase {
            isMember = caseVariants(scalar).contains { variant in items.contains { contains(variant, $0) } }
        }
        return isMember != isComplement
    }

    private static func contains(_ scalar: UInt32, _ item: Item) -> Bool {
        switch item {
        case .range(let range): range.contains(scalar)
        case .categories(let mask): mask >> UInt32(ScalarProperties(scalar).category) & 1 == 1
        case .space: ScalarProperties(scalar).isSpace
        case .word: isWord(scalar)
        case .nested(let set): set.contains(scalar)
        case .intersection(let sets): sets.allSatisfy { $0.contains(scalar) }
        case .other(let property): property.contains(scalar)
        }
    }

    /// Returns whether a scalar is of `\w` of the reference's engine: letters, marks, decimal digits, connectors, and a
    /// few numbers; no joiners.
    static func isWord(_ scalar: UInt32) -> Bool {
        let properties = ScalarProperties(scalar)
        if properties.isLetter || properties.isMark || properties.isDecimalDigit || properties.category == 11 {
            return true
        }
        if [0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE].contains(scalar) { return true }
        return scalar > 127 && Unicode.Scalar(scalar)?.properties.isAlphabetic == true
    }

    /// The scalars that are the same but for their case.
    private static func caseVariants(_ scalar: UInt32) -> [UInt32] {
        guard let value = Unicode.Scalar(scalar) else { return [] }
        let upper = value.properties.uppercaseMapping.unicodeScalars
        let lower = value.properties.lowercaseMapping.unicodeScalars
        var variants = [upper, lower].compactMap { $0.count == 1 ? $0.first?.value : nil }
        for variant in variants {
            let back = Unicode.Scalar(variant)?.properties.lowercaseMapping.unicodeScalars
            if let back, back.count == 1, let first = back.first { variants.append(first.value) }
        }
        // The long s and the sign for Kelvin are the only ones that ASCII letters meet from outside.
        if scalar | 0x20 == 0x73 { variants.append(0x17F) }
        if scalar | 0x20 == 0x6B { variants.append(0x212A) }
        return variants
    }
}

/// A property of scalars that the standard library's engine answers, one scalar at a time; answers are remembered.
final class ScalarProperty: Sendable {
    private let state: Mutex<(regex: Regex<AnyRegexOutput>, answers: [UInt32: Bool])>

    /// - Parameter spelling: An expression for one scalar, as `\p{Han}`; nil when that engine does not know it.
    init?(_ spelling: String) {
        guard let regex = try? Regex(spelling).matchingSemantics(.unicodeScalar) else { return nil }
        state = Mutex((regex, [:]))
    }

    func contains(_ scalar: UInt32) -> Bool {
        guard let value = Unicode.Scalar(scalar) else { return false }
        return state.withLock { state in
            if let answer = state.answers[scalar] { return answer }
            let answer = (try? state.regex.wholeMatch(in: String(value))) != nil
            state.answers[scalar] = answer
            return answer
        }
    }
}
