/// EXAONE MoE's pattern: words that single spaces part are one word, and no more than one newline goes with a run of
/// signs.
struct SpacedWordsPattern: CoveringPattern {
    static let spelling =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#

    private let classes = ScalarClasses()

    func end(of text: Span<UInt8>, from start: Int) -> Int {
        if text[start] == UInt8(ascii: "'"), let end = classes.endOfContraction(text, from: start, ignoringCase: true) {
            return end
        }
        let (kind, length) = classes.at(start, text)
        let second = start + length
        if kind & ScalarClasses.letter != 0 { return endOfWords(text, from: second) }
        if kind & ScalarClasses.number != 0 { return second }
        let next = second < text.count ? classes.at(second, text) : (classes: ScalarClasses.space, length: 0)
        if kind & ScalarClasses.newline == 0, next.classes & ScalarClasses.letter != 0 {
            return endOfWords(text, from: second + next.length)
        }
        let blank = ScalarClasses.space
        let others = blank | ScalarClasses.letter | ScalarClasses.number
        if kind & blank == 0 || text[start] == 0x20 && next.classes & others == 0 {
            let end = classes.endOfRun(without: others, text, from: second)
            return end < text.count && (text[end] == 10 || text[end] == 13) ? end + 1 : end
        }
        let end = classes.endOfRun(blank, text, from: start)
        return classes.endOfNewlines(text, from: start, blanksEnd: end) ?? classes.endOfBlanks(text, from: start)
    }

    /// The end of letters and marks, and of words behind single spaces; a letter stands before `start`.
    private func endOfWords(_ text: Span<UInt8>, from start: Int) -> Int {
        var end = start
        while true {
            end = classes.endOfRun(ScalarClasses.letter | ScalarClasses.mark, text, from: end)
            guard end + 1 < text.count, text[end] == 0x20 else { return end }
            let next = classes.at(end + 1, text)
            guard next.classes & ScalarClasses.letter != 0 else { return end }
            end += 1 + next.length
        }
    }
}
