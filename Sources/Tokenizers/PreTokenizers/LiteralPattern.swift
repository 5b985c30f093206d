/// Fixed text, found from left to right without overlap.
struct LiteralPattern: Pattern {
    let content: [UInt8]

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        guard let first = content.first, content.count <= text.count else { return }
        let last = text.count - content.count
        var index = 0
        while index <= last {
            guard text[index] == first else {
                index += 1
                continue
            }
            var length = 1
            while length < content.count, text[index + length] == content[length] { length += 1 }
            if length == content.count {
                found.append(Piece(index, index + length))
                index += length
            } else {
                index += 1
            }
        }
    }
}
