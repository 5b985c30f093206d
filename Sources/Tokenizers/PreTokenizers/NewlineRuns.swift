/// A pattern of newline runs, `[^\n]+|[\n]+`: lines, and the newlines between them.
struct NewlineRunsPattern: CoveringPattern {
    static let spelling = #"[^\n]+|[\n]+"#

    func end(of text: Span<UInt8>, from start: Int) -> Int {
        let isNewline = text[start] == 10
        var end = start + 1
        while end < text.count, (text[end] == 10) == isNewline { end += 1 }
        return end
    }
}
