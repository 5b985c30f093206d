/// GPT-2's pattern, `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (GPT-2, RoBERTa, r50k,
/// p50k).
struct GPT2Pattern: CoveringPattern {
    private let classes = ScalarClasses()

    @inline(__always)
    func end(of text: Span<UInt8>, from start: Int) -> Int {
        let first = text[start]
        if first == UInt8(ascii: "'"), let end = classes.endOfContraction(text, from: start, ignoringCase: false) {
            return end
        }
        let body = first == UInt8(ascii: " ") && start + 1 < text.count ? start + 1 : start
        let (kind, length) = classes.at(body, text)
        if kind & ScalarClasses.letter != 0 {
            return classes.endOfRun(ScalarClasses.letter, text, from: body + length)
        }
        if kind & ScalarClasses.number != 0 {
            return classes.endOfRun(ScalarClasses.number, text, from: body + length)
        }
        if kind & ScalarClasses.space != 0 { return classes.endOfBlanks(text, from: start) }
        return classes.endOfRun(
            without: ScalarClasses.space | ScalarClasses.letter | ScalarClasses.number, text, from: body + length)
    }
}
