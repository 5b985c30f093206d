/// The breaks between extended grapheme clusters (UAX #29, Unicode 16), for the one normalizer of the reference that
/// asks.
struct GraphemeBreaks: Sendable {
    static let shared = GraphemeBreaks()
    private let table = ScalarTable(runs: packedGraphemeBreaks)

    // The classes as `Tools/unicode_tables.py` numbers them.
    private static let (carriageReturn, lineFeed, control): (UInt16, UInt16, UInt16) = (1, 2, 3)
    private static let (extend, joiner, regional, prepend, spacing): (UInt16, UInt16, UInt16, UInt16, UInt16) = (
        4, 5, 6, 7, 8
    )
    private static let (leading, vowel, trailing, syllableLV, syllableLVT): (UInt16, UInt16, UInt16, UInt16, UInt16) =
        (9, 10, 11, 12, 13)
    private static let pictograph: UInt16 = 14

    /// The end of the cluster that starts at `start`.
    func end(of text: Span<UInt8>, from start: Int) -> Int {
        var scalar = text.scalar(at: start)
        var index = start + scalar.length
        var properties = table[scalar.value]
        var regionals = properties & 15 == GraphemeBreaks.regional ? 1 : 0
        var afterPictograph = properties & 15 == GraphemeBreaks.pictograph
        // The conjunct rule: a consonant, then marks of which one is a linker.
        var inConjunct = properties & 48 == 16
        var hasLinker = false
        while index < text.count {
            scalar = text.scalar(at: index)
            let next = table[scalar.value]
            let (left, right) = (properties & 15, next & 15)
            let joinsPictograph =
                afterPictograph && left == GraphemeBreaks.joiner && right == GraphemeBreaks.pictograph
            let joinsConjunct = inConjunct && hasLinker && next & 48 == 16
            let joinsRegional =
                left == GraphemeBreaks.regional && right == GraphemeBreaks.regional && regionals % 2 == 1
            guard joinsPictograph || joinsConjunct || joinsRegional || GraphemeBreaks.joins(left, right) else {
                return index
            }
            regionals = right == GraphemeBreaks.regional ? regionals + 1 : 0
            if right != GraphemeBreaks.extend && right != GraphemeBreaks.joiner {
                afterPictograph = right == GraphemeBreaks.pictograph
            }
            switch next & 48 {
            case 16: (inConjunct, hasLinker) = (true, false)
            case 32: hasLinker = true
            case 0: inConjunct = false
            default: break
            }
            properties = next
            index += scalar.length
        }
        return index
    }

    /// Rules GB3 to GB9b, which look at two neighbours only.
    private static func joins(_ left: UInt16, _ right: UInt16) -> Bool {
        if left == carriageReturn && right == lineFeed { return true }
        if (carriageReturn...control).contains(left) || (carriageReturn...control).contains(right) { return false }
        switch left {
        case leading where [leading, vowel, syllableLV, syllableLVT].contains(right): return true
        case syllableLV where right == vowel || right == trailing: return true
        case vowel where right == vowel || right == trailing: return true
        case syllableLVT where right == trailing: return true
        case trailing where right == trailing: return true
        default: break
        }
        return right == extend || right == joiner || right == spacing || left == prepend
    }
}
