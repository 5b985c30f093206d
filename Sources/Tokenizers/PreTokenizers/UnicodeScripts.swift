/// A pre-tokenizer that splits where the script changes; Hiragana, Katakana and Han are one, spaces go with any.
struct UnicodeScriptsPreTokenizer: PreTokenizer {
    private static let table = ScalarTable(runs: packedScripts)

    func preTokenize(_ text: inout StagedText) {
        let table = UnicodeScriptsPreTokenizer.table
        text.resplit { bytes, piece, words in
            var start: Int?
            var last: UInt16?
            var index = Int(piece.start)
            while index < Int(piece.end) {
                let scalar = bytes.scalar(at: index)
                let script = table[scalar.value]
                // Spaces before the first other scalar are dropped, as in the reference.
                if script != 0, last != script {
                    if let start { words.append(Piece(start, index)) }
                    start = index
                }
                if script != 0 { last = script }
                index += scalar.length
            }
            if let start { words.append(Piece(start, index)) }
        }
    }
}
