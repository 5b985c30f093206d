/// GPT-2's pre-tokenizer: perhaps a space before, perhaps its pattern, then every byte as the scalar that names it.
struct ByteLevelPreTokenizer: PreTokenizer {
    var addsPrefixSpace: Bool
    var splitsByPattern: Bool
    var trimsOffsets: Bool
    /// False when the model matches bytes themselves: then naming them would only have to be undone.
    var namesBytes = true

    func preTokenize(_ text: inout StagedText) {
        if addsPrefixSpace { addPrefixSpaces(to: &text) }
        if splitsByPattern {
            let pattern = GPT2Pattern()
            text.resplit { bytes, piece, words in
                let part = bytes.extracting(piece.range)
                var start = 0
                while start < part.count {
                    let end = pattern.end(of: part, from: start)
                    words.append(Piece(Int(piece.start) + start, Int(piece.start) + end))
                    start = end
                }
            }
        }
        if namesBytes { nameBytes(of: &text) }
    }

    /// A space before each word that does not begin with one; it stands for the word's first scalar.
    private func addPrefixSpaces(to text: inout StagedText) {
        let space = UInt8(ascii: " ")
        guard text.pieces.contains(where: { text.bytes[Int($0.start)] != space }) else { return }
        var rewriter = Rewriter(text)
        var words: [Piece] = []
        for piece in text.pieces {
            let start = rewriter.bytes.count
            if text.bytes[Int(piece.start)] != space { rewriter.append(UInt32(space), from: Int(piece.start)) }
            rewriter.copy(piece.range, of: text.bytes.span)
            words.append(Piece(start, rewriter.bytes.count))
        }
        rewriter.finish(&text, pieces: words)
    }

    private func nameBytes(of text: inout StagedText) {
        var rewriter = Rewriter(text)
        var words: [Piece] = []
        words.reserveCapacity(text.pieces.count)
        for piece in text.pieces {
            let start = rewriter.bytes.count
            for index in piece.range { rewriter.append(ByteAlphabet.scalars[Int(text.bytes[index])], from: index) }
            words.append(Piece(start, rewriter.bytes.count))
        }
        rewriter.finish(&text, pieces: words)
    }
}
