/// A pre-tokenizer by `\w+|[^\w\s]+`: runs of word scalars, and runs of what is neither word nor blank.
struct WhitespacePreTokenizer: PreTokenizer {
    func preTokenize(_ text: inout StagedText) {
        let table = ScalarProperties.table
        text.resplit { bytes, piece, words in
            // 0 blank, 1 word, 2 other
            func kind(_ scalar: UInt32) -> Int {
                let properties = ScalarProperties(bits: table[scalar])
                return properties.isWord ? 1 : properties.isSpace ? 0 : 2
            }
            var (start, index, last) = (Int(piece.start), Int(piece.start), 0)
            while index < Int(piece.end) {
                let scalar = bytes.scalar(at: index)
                let kind = kind(scalar.value)
                if kind != last {
                    if last != 0, start < index { words.append(Piece(start, index)) }
                    (start, last) = (index, kind)
                }
                index += scalar.length
            }
            if last != 0, start < index { words.append(Piece(start, index)) }
        }
    }
}
