/// GPT-4o's pattern: words change from upper to lower case only once, contractions belong to their word.
struct O200KPattern: CoveringPattern {
    static let spelling =
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The pattern of Mistral's Tekken: without contractions, digits one by one.
    static let tekkenSpelling =
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// Youtu's: digits one by one.
    static let youtuSpelling = spelling.replacing(#"\p{N}{1,3}"#, with: #"\p{N}"#)

    /// Kimi K2's: runs of Han stand alone, and no slashes go with signs.
    static let kimiSpelling =
        #"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// True where a word takes the contraction behind it.
    var keepsContractions = true
    /// Longest run of digits.
    var digits = 3
    /// True where runs of Han stand alone.
    var partsHan = false
    private let classes = ScalarClasses()

    init(keepsContractions: Bool = true, digits: Int = 3, partsHan: Bool = false) {
        self.partsHan = partsHan
        self.keepsContractions = keepsContractions
        self.digits = digits
    }

    // Lu, Lt, Lm, Lo, Mn, Mc, Me and Ll, Lm, Lo, Mn, Mc, Me, as bits by category.
    private static let upper: UInt32 = 0b1111_1101
    private static let lower: UInt32 = 0b1111_1010

    @inline(__always)
    private func category(_ text: Span<UInt8>, _ index: Int) -> (bit: UInt32, length: Int) {
        let scalar = text.scalar(at: index)
        if partsHan, HanScript.contains(scalar.value) { return (0, scalar.length) }
        return (1 << UInt32(classes.properties(scalar.value).category), scalar.length)
    }

    func end(of text: Span<UInt8>, from start: Int) -> Int {
        if partsHan, let end = endOfHan(text, from: start) { return end }
        let (kind, length) = classes.at(start, text)
        let mayLead = kind & (ScalarClasses.newline | ScalarClasses.letter | ScalarClasses.number) == 0
        let body = start + length
        // The alternatives in the order of the expression: each with the leading sign, then without.
        if mayLead, body < text.count, let end = endOfCasedWord(text, from: body) { return withContraction(text, end) }
        if let end = endOfCasedWord(text, from: start) { return withContraction(text, end) }
        if mayLead, body < text.count, let end = endOfUpperRun(text, from: body) { return withContraction(text, end) }
        if let end = endOfUpperRun(text, from: start) { return withContraction(text, end) }
        if kind & ScalarClasses.number != 0 {
            return classes.endOfRun(ScalarClasses.number, limit: digits - 1, text, from: start + length)
        }
        let blank = ScalarClasses.space
        let next = start + length < text.count ? classes.at(start + length, text).classes : blank
        let letters = ScalarClasses.letter | ScalarClasses.number
        if kind & blank == 0 || text[start] == 0x20 && next & (blank | letters) == 0 {
            var end = classes.endOfRun(without: blank | letters, text, from: start + length)
            while end < text.count, text[end] == 10 || text[end] == 13 || !partsHan && text[end] == UInt8(ascii: "/") {
                end += 1
            }
            return end
        }
        let end = classes.endOfRun(blank, text, from: start)
        return classes.endOfNewlines(text, from: start, blanksEnd: end) ?? classes.endOfBlanks(text, from: start)
    }

    private func endOfHan(_ text: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < text.count {
            let scalar = text.scalar(at: index)
            guard HanScript.contains(scalar.value) else { break }
            index += scalar.length
        }
        return index > start ? index : nil
    }

    /// The end of `U+` at `start`; what could follow it in lower case is the other alternative's.
    private func endOfUpperRun(_ text: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < text.count {
            let (bit, length) = category(text, index)
            guard bit & O200KPattern.upper != 0 else { break }
            index += length
        }
        return index > start ? index : nil
    }

    /// The end of `U*L+` at `start`, where U and L share scalars without case: when no lower case follows the upper
    /// run, it gives way up to its last scalar that L has too.
    private func endOfCasedWord(_ text: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        var sharedEnd: Int?
        while index < text.count {
            let (bit, length) = category(text, index)
            guard bit & O200KPattern.upper != 0 else { break }
            index += length
            if bit & O200KPattern.lower != 0 { sharedEnd = index }
        }
        let upperEnd = index
        while index < text.count {
            let (bit, length) = category(text, index)
            guard bit & O200KPattern.lower != 0 else { break }
            index += length
        }
        return index > upperEnd ? index : sharedEnd
    }

    private func withContraction(_ text: Span<UInt8>, _ end: Int) -> Int {
        guard keepsContractions, end < text.count, text[end] == UInt8(ascii: "'") else { return end }
        return classes.endOfContraction(text, from: end, ignoringCase: true) ?? end
    }
}
