/// Seed-Coder's pattern: Qwen 2's, with no newlines behind a run of signs.
struct SeedCoderPattern: CoveringPattern {
    static let spelling =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private let base = CL100KPattern(digits: 1)

    func end(of text: Span<UInt8>, from start: Int) -> Int {
        let end = base.end(of: text, from: start)
        var signsEnd = end
        while signsEnd > start, text[signsEnd - 1] == 10 || text[signsEnd - 1] == 13 { signsEnd -= 1 }
        guard signsEnd < end, signsEnd > start else { return end }
        // Newlines behind blanks are a word of their own.
        return ScalarProperties(text.scalar(before: signsEnd).value).isSpace ? end : signsEnd
    }
}
