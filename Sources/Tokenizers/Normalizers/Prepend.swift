/// Fixed text before any text that is not empty.
struct PrependNormalizer: Normalizer {
    let content: [UInt8]

    func normalize(_ text: inout StagedText) {
        guard !text.bytes.isEmpty else { return }
        var rewriter = Rewriter(text)
        rewriter.append(contentsOf: content, from: 0)
        rewriter.copy(0..<text.bytes.count, of: text.bytes.span)
        rewriter.finish(&text)
    }
}
