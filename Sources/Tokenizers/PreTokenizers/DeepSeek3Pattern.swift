/// DeepSeek V3's last pattern: a sign with the ASCII letters behind it, words of letters and marks, runs of signs,
/// blanks. What it does not match (digits, split off before) lies between the matches.
struct DeepSeek3Pattern: Pattern {
    static let spelling =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##

    /// Spark 2.5's: newlines stand alone.
    static let sparkSpelling =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##

    private let partsNewlines: Bool
    private let classes = ScalarClasses()

    init(partsNewlines: Bool = false) { self.partsNewlines = partsNewlines }

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var start = 0
        while start < text.count {
            if let end = end(of: text, from: start) {
                found.append(Piece(start, end))
                start = end
            } else {
                start += text.scalar(at: start).length
            }
        }
    }

    private func isSign(_ text: Span<UInt8>, _ index: Int) -> Bool {
        // Categories P and S.
        (11...21).contains(classes.properties(text.scalar(at: index).value).category)
    }

    private func end(of text: Span<UInt8>, from start: Int) -> Int? {
        let first = text[start]
        func isASCIILetter(_ index: Int) -> Bool {
            index < text.count && (0x41...0x5A).contains(text[index] & 0xDF)
        }
        let isSign = isSign(text, start)
        if first < 0x80, isSign, isASCIILetter(start + 1) {
            var end = start + 1
            while isASCIILetter(end) { end += 1 }
            return end
        }
        let (kind, length) = classes.at(start, text)
        let letters = ScalarClasses.letter | ScalarClasses.mark
        let isNewline = kind & ScalarClasses.newline != 0
        if kind & ScalarClasses.letter == 0, !isNewline, !isSign {
            let end = classes.endOfRun(letters, text, from: start + length)
            if end > start + length { return end }
        }
        let word = classes.endOfRun(letters, text, from: start)
        if word > start { return word }
        let signs = first == 0x20 ? start + 1 : start
        if signs < text.count, self.isSign(text, signs) {
            var end = signs
            while end < text.count, self.isSign(text, end) { end += text.scalar(at: end).length }
            return partsNewlines ? end : classes.endOfRun(ScalarClasses.newline, text, from: end)
        }
        guard kind & ScalarClasses.space != 0 else { return nil }
        if partsNewlines { return isNewline ? start + 1 : classes.endOfBlanks(text, from: start) }
        let end = classes.endOfRun(ScalarClasses.space, text, from: start)
        return classes.endOfNewlines(text, from: start, blanksEnd: end) ?? classes.endOfBlanks(text, from: start)
    }
}
