/// GPT-4's pattern, `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
/// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` and its kin: cl100k, Llama 3, Qwen 2, …
struct CL100KPattern: CoveringPattern {
    /// Longest run of digits that stays together: 3 for GPT-4 and Llama 3, 1 for Qwen 2.
    var digits = 3
    /// tiktoken's spelling has `\s++$` before the newlines: blanks that end a text stay together.
    var keepsTrailingBlanks = false
    /// True where marks count as letters inside a word: `[\p{L}\p{M}]+`.
    var wordsHoldMarks = false
    /// True where `'s` and its like are words.
    var keepsContractions = true
    private let classes = ScalarClasses()

    init(
        digits: Int = 3, keepsTrailingBlanks: Bool = false, wordsHoldMarks: Bool = false, keepsContractions: Bool = true
    ) {
        self.keepsContractions = keepsContractions
        self.digits = digits
        self.keepsTrailingBlanks = keepsTrailingBlanks
        self.wordsHoldMarks = wordsHoldMarks
    }

    @inline(__always)
    func end(of text: Span<UInt8>, from start: Int) -> Int {
        let first = text[start]
        if first == UInt8(ascii: "'"), keepsContractions,
            let end = classes.endOfContraction(text, from: start, ignoringCase: true)
        {
            return end
        }
        let letters = wordsHoldMarks ? ScalarClasses.letter | ScalarClasses.mark : ScalarClasses.letter
        let (kind, length) = classes.at(start, text)
        if kind & letters != 0 { return classes.endOfRun(letters, text, from: start + length) }
        if kind & ScalarClasses.number != 0 {
            return digits == 1
                ? start + length
                : classes.endOfRun(ScalarClasses.number, limit: digits - 1, text, from: start + length)
        }
        let second = start + length
        let next = second < text.count ? classes.at(second, text) : (classes: ScalarClasses.space, length: 0)
        if kind & ScalarClasses.newline == 0, next.classes & letters != 0 {
            return classes.endOfRun(letters, text, from: second + next.length)
        }
        let blank = ScalarClasses.space
        if kind & blank == 0 || first == UInt8(ascii: " ") && next.classes & (blank | ScalarClasses.number) == 0 {
            let end = classes.endOfRun(
                without: blank | letters | ScalarClasses.number, text, from: second)
            return classes.endOfRun(ScalarClasses.newline, text, from: end)
        }
        return endOfBlanks(text, from: start)
    }

    private func endOfBlanks(_ text: Span<UInt8>, from start: Int) -> Int {
        let end = classes.endOfRun(ScalarClasses.space, text, from: start)
        if keepsTrailingBlanks, end == text.count { return end }
        return classes.endOfNewlines(text, from: start, blanksEnd: end) ?? classes.endOfBlanks(text, from: start)
    }
}
