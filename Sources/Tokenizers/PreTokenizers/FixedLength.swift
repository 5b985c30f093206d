/// Words of so many scalars each.
struct FixedLengthPreTokenizer: PreTokenizer {
    /// The length of a word in scalars, at least 1.
    let length: Int

    func preTokenize(_ text: inout StagedText) {
        text.resplit { bytes, piece, words in
            var (start, index, count) = (Int(piece.start), Int(piece.start), 0)
            while index < Int(piece.end) {
                index += bytes.scalar(at: index).length
                count += 1
                if count == length {
                    words.append(Piece(start, index))
                    (start, count) = (index, 0)
                }
            }
            if start < index { words.append(Piece(start, index)) }
        }
    }
}
