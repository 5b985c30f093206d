package import MartletTensors

/// Predicts tokens that were chosen with probability `share` from both sides of them; of those chosen 80 % are masked,
/// 10 % replaced by any token, 10 % left as they are (BERT, arXiv:1810.04805). With word starts given, words are chosen
/// whole.
package struct MaskedLanguageModelling: Objective {
    package static let name = "masked"

    package let share: Double
    package let mask: Int32
    package let vocabulary: Int
    /// The tokens before and after each piece: [CLS] and [SEP].
    package let before: [Int32]
    package let after: [Int32]
    /// The tokens of the vocabulary that begin words; nil chooses tokens one by one.
    package let beginsWord: [Bool]?

    package init(
        share: Double = 0.15, mask: Int32, vocabulary: Int, before: [Int32], after: [Int32], beginsWord: [Bool]?
    ) {
        precondition(share >= 0 && share <= 1, "MaskedLanguageModelling: a share of \(share)")
        precondition(beginsWord.map { $0.count == vocabulary } ?? true, "MaskedLanguageModelling: other words")
        (self.share, self.mask, self.vocabulary) = (share, mask, vocabulary)
        (self.before, self.after, self.beginsWord) = (before, after, beginsWord)
    }

    package func pieceLength(rows: Int) -> Int { max(1, rows - before.count - after.count) }

    package func example(_ sides: [[Int32]], _ random: inout Random) -> Example? {
        guard let piece = sides.first, !piece.isEmpty else { return nil }
        var tokens = piece
        var targets = [Int32](repeating: Example.ignored, count: piece.count)
        for word in words(piece) where random.uniform() < share {
            for index in word {
                targets[index] = piece[index]
                tokens[index] = replacement(of: piece[index], &random)
            }
        }
        guard targets.contains(where: { $0 != Example.ignored }) else { return nil }
        func framed(_ row: [Int32], _ first: [Int32], _ last: [Int32]) -> [Int32] { first + row + last }
        return Example(
            tokens: framed(tokens, before, after),
            targets: framed(targets, before.map { _ in Example.ignored }, after.map { _ in Example.ignored }))
    }

    private func words(_ tokens: [Int32]) -> [Range<Int>] {
        var starts = tokens.indices.filter { index in
            guard let beginsWord else { return true }
            let token = Int(tokens[index])
            return index == 0 || !beginsWord.indices.contains(token) || beginsWord[token]
        }
        starts.append(tokens.count)
        return zip(starts, starts.dropFirst()).map { $0..<$1 }
    }

    private func replacement(of token: Int32, _ random: inout Random) -> Int32 {
        switch random.uniform() {
        case ..<0.8: mask
        case ..<0.9: Int32(random.below(vocabulary))
        default: token
        }
    }
}
