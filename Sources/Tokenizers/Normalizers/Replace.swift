/// Every match of a pattern, replaced by fixed text.
struct ReplaceNormalizer: Normalizer {
    let pattern: FilePattern
    let content: [UInt8]

    func normalize(_ text: inout StagedText) {
        guard !text.bytes.isEmpty else { return }
        let source = text.bytes
        let bytes = source.span
        var found: [Piece] = []
        pattern.matcher.matches(in: bytes, into: &found)
        guard !found.isEmpty else { return }
        var rewriter = Rewriter(text)
        var copied = 0
        for match in found {
            rewriter.copy(copied..<Int(match.start), of: bytes)
            rewriter.append(contentsOf: content, from: max(Int(match.end) - 1, 0))
            copied = Int(match.end)
        }
        rewriter.copy(copied..<bytes.count, of: bytes)
        rewriter.finish(&text)
    }
}
