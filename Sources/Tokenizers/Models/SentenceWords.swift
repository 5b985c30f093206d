/// SentencePiece's models without subwords: a token for each word, or for each scalar.
struct SentenceWordsModel: TokenModel {
    /// The unit that a token stands for.
    enum Unit: Sendable {
        case scalar
        /// U+2581 begins a word, wherever the file puts blanks.
        case word
    }

    let vocabulary: Vocabulary
    /// The pieces that are looked up: text that spells a control, byte or unknown piece is unknown.
    let pieces: Vocabulary
    let unit: Unit
    let unknown: Int32
    /// Pieces given by the user, which stay whole among scalars.
    let userDefined: ByteTrie
    /// The ids of `<0x00>`…`<0xFF>`, where unknown text is spelled by them.
    let byteTokens: [Int32]?

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        var start = 0
        while start < word.count {
            let end = end(of: word, from: start)
            let id = pieces.find(word.extracting(start..<end))
            if id >= 0 {
                output.append(id, start, end)
            } else {
                output.appendUnknown(word, start..<end, unknown, byteTokens)
            }
            start = end
        }
    }

    private func end(of text: Span<UInt8>, from start: Int) -> Int {
        let first = start + text.scalar(at: start).length
        guard unit == .word else { return userDefined.longest(text, from: start) ?? first }
        var index = first
        while index < text.count {
            let scalar = text.scalar(at: index)
            if scalar.value == 0x2581 { break }
            index += scalar.length
        }
        return index
    }
}

extension TokenOutput {
    /// Appends text without a piece, as SentencePiece does: its bytes, or the unknown token, one for a whole run.
    mutating func appendUnknown(_ text: Span<UInt8>, _ range: Range<Int>, _ unknown: Int32, _ byteTokens: [Int32]?) {
        if let byteTokens, range.allSatisfy({ byteTokens[Int(text[$0])] >= 0 }) {
            for index in range { append(byteTokens[Int(text[index])], index, index + 1) }
            return
        }
        if let last = spans.last, ids.last == unknown, Int(last.end) == range.lowerBound, range.lowerBound > 0 {
            spans[spans.count - 1] = Piece(Int(last.start), range.upperBound)
        } else {
            append(unknown, range.lowerBound, range.upperBound)
        }
    }
}
