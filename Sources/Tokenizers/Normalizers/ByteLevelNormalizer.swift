/// Every byte as the scalar that names it in GPT-2's alphabet.
struct ByteLevelNormalizer: Normalizer {
    func normalize(_ text: inout StagedText) {
        var rewriter = Rewriter(text)
        for (index, byte) in text.bytes.enumerated() { rewriter.append(ByteAlphabet.scalars[Int(byte)], from: index) }
        rewriter.finish(&text)
    }
}
