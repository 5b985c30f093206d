/// The classes of scalars that the GPT patterns tell apart, with a table for ASCII.
struct ScalarClasses: Sendable {
    static let letter: UInt8 = 1
    static let number: UInt8 = 2
    static let space: UInt8 = 4
    static let newline: UInt8 = 8
    static let mark: UInt8 = 16

    /// The classes of each byte; 0x80 for a byte that begins a longer scalar.
    private static let asciiTable = FrozenArray<UInt8>(
        (0..<256).map { byte in
            guard byte < 128 else { return 0x80 }
            let extra = byte == 10 || byte == 13 ? newline : 0
            return classes(ScalarProperties(UInt32(byte))) | extra
        })

    private let ascii = ScalarClasses.asciiTable
    private let table = ScalarProperties.table

    @inline(__always)
    private static func classes(_ properties: ScalarProperties) -> UInt8 {
        if properties.isLetter { return letter }
        if properties.isNumber { return number }
        if properties.isSpace { return space }
        return properties.isMark ? mark : 0
    }

    /// The classes of the scalar at `index`, and its length.
    @inline(__always)
    func at(_ index: Int, _ text: Span<UInt8>) -> (classes: UInt8, length: Int) {
        let found = ascii[Int(text[index])]
        return found != 0x80 ? (found, 1) : long(index, text)
    }

    @inline(never)
    private func long(_ index: Int, _ text: Span<UInt8>) -> (classes: UInt8, length: Int) {
        let scalar = text.scalar(at: index)
        return (ScalarClasses.classes(properties(scalar.value)), scalar.length)
    }

    @inline(__always)
    func properties(_ scalar: UInt32) -> ScalarProperties { ScalarProperties(bits: table[scalar]) }

    /// The end of the run from `start` of scalars with one of `wanted`.
    @inline(__always)
    func endOfRun(_ wanted: UInt8, _ text: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < text.count {
            let scalar = at(index, text)
            guard scalar.classes & wanted != 0 else { break }
            index += scalar.length
        }
        return index
    }

    /// The end of the run from `start` of scalars with none of `unwanted`.
    @inline(__always)
    func endOfRun(without unwanted: UInt8, _ text: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < text.count {
            let scalar = at(index, text)
            guard scalar.classes & unwanted == 0 else { break }
            index += scalar.length
        }
        return index
    }

    /// The end of at most `limit` scalars of `wanted` from `start`.
    @inline(__always)
    func endOfRun(_ wanted: UInt8, limit: Int, _ text: Span<UInt8>, from start: Int) -> Int {
        var (index, left) = (start, limit)
        while index < text.count, left > 0 {
            let scalar = at(index, text)
            guard scalar.classes & wanted != 0 else { break }
            index += scalar.length
            left -= 1
        }
        return index
    }

    /// The end of `\s+(?!\S)|\s+` at `start`, where a blank stands.
    @inline(__always)
    func endOfBlanks(_ text: Span<UInt8>, from start: Int) -> Int {
        let end = endOfRun(ScalarClasses.space, text, from: start)
        guard end < text.count else { return end }
        let last = end - text.scalar(before: end).length
        return last > start ? last : end
    }

    /// The end of `\s*[\r\n]+` at `start`, or nil when the blanks there hold no newline.
    ///
    /// - Parameter end: The end of the blanks.
    @inline(__always)
    func endOfNewlines(_ text: Span<UInt8>, from start: Int, blanksEnd end: Int) -> Int? {
        var index = end
        while index > start {
            let byte = text[index - 1]
            if byte == 10 || byte == 13 { return index }
            index -= 1
        }
        return nil
    }

    /// The end of the contraction at `start`, where an apostrophe stands: `'s 't 'm 'd 're 've 'll`; nil when there is
    /// none.
    ///
    /// - Parameter ignoringCase: Also upper case, and U+017F, which folds to s.
    @inline(__always)
    func endOfContraction(_ text: Span<UInt8>, from start: Int, ignoringCase: Bool) -> Int? {
        guard start + 1 < text.count else { return nil }
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        let first = text[start + 1] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            guard start + 2 < text.count, text[start + 2] | fold == UInt8(ascii: "e") else { return nil }
            return start + 3
        case UInt8(ascii: "l"):
            guard start + 2 < text.count, text[start + 2] | fold == UInt8(ascii: "l") else { return nil }
            return start + 3
        case 0xE5 where ignoringCase:  // 0xC5 with the folding bit
            guard start + 2 < text.count, text[start + 1] == 0xC5, text[start + 2] == 0xBF else { return nil }
            return start + 3
        default: return nil
        }
    }
}
