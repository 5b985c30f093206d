/// Words between blanks, each punctuation mark a word of its own.
struct BertPreTokenizer: PreTokenizer {
    func preTokenize(_ text: inout StagedText) {
        let table = ScalarProperties.table
        text.resplit { bytes, piece, words in
            var start = Int(piece.start)
            var index = start
            let end = Int(piece.end)
            while index < end {
                let scalar = bytes.scalar(at: index)
                let properties = ScalarProperties(bits: table[scalar.value])
                if properties.isSpace || properties.isPunctuation {
                    if start < index { words.append(Piece(start, index)) }
                    start = index + scalar.length
                    if !properties.isSpace { words.append(Piece(index, start)) }
                }
                index += scalar.length
            }
            if start < end { words.append(Piece(start, end)) }
        }
    }
}
