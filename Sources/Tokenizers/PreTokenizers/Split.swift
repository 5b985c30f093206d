/// A pre-tokenizer that splits at the matches of a pattern.
struct SplitPreTokenizer: PreTokenizer {
    let pattern: FilePattern
    let behavior: MatchBehavior
    let inverted: Bool

    func preTokenize(_ text: inout StagedText) {
        // Matches that lie end to end are the words, isolated or kept by inversion.
        if pattern.matcher is any CoveringPattern, behavior == .isolated || behavior == .removed && inverted {
            let matcher = pattern.matcher
            text.resplit { bytes, piece, words in
                let first = words.count
                matcher.matches(in: bytes.extracting(piece.range), into: &words)
                if piece.start > 0 {
                    for index in first..<words.count {
                        words[index].start += piece.start
                        words[index].end += piece.start
                    }
                }
            }
            return
        }
        text.resplit { bytes, piece, words in
            pattern.matcher.split(bytes, piece, behavior, inverted: inverted, into: &words)
        }
    }
}
