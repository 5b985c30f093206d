/// The scheme by which the sign for a space goes before a text that does not begin with it.
enum MetaspaceScheme: String, Sendable {
    case first
    case never
    case always
}

/// SentencePiece's way with spaces: each becomes a visible sign, one goes before the text, and words begin at it.
struct MetaspacePreTokenizer: PreTokenizer {
    let replacement: UInt32
    let scheme: MetaspaceScheme
    let splits: Bool

    func preTokenize(_ text: inout StagedText) {
        var sign: [UInt8] = []
        sign.appendScalar(replacement)
        var rewriter = Rewriter(text)
        var words: [Piece] = []
        for piece in text.pieces {
            let bytes = text.bytes.span.extracting(piece.range)
            let start = rewriter.bytes.count
            let begins = bytes[0] == UInt8(ascii: " ") || bytes.scalar(at: 0).value == replacement
            let wantsSign = scheme == .always || scheme == .first && Int(piece.start) < text.startExtent
            if wantsSign && !begins { rewriter.append(contentsOf: sign, from: Int(piece.start)) }
            var wordStart = start
            var index = 0
            while index < bytes.count {
                let scalar = bytes.scalar(at: index)
                let source = Int(piece.start) + index
                if scalar.value == 0x20 || scalar.value == replacement {
                    if splits, rewriter.bytes.count > wordStart {
                        words.append(Piece(wordStart, rewriter.bytes.count))
                        wordStart = rewriter.bytes.count
                    }
                    rewriter.append(contentsOf: sign, from: source)
                } else {
                    rewriter.append(scalar.value, from: source)
                }
                index += scalar.length
            }
            words.append(Piece(wordStart, rewriter.bytes.count))
        }
        rewriter.finish(&text, pieces: words)
    }
}
