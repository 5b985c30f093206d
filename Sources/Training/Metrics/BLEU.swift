import MartletJSON

/// BLEU of a corpus as sacreBLEU 2 computes it (Papineni et al. 2002; Post, arXiv:1804.08771):
/// 100 · BP · exp(¼ Σ ln pₙ), pₙ the share of n-grams of the hypotheses that references hold too, each counted at most
/// as often as in one of them; BP = exp(1 − r / h) where the hypotheses are shorter (h words) than the references
/// closest in length (r words).
package struct BLEU: Sendable {
    /// The smoothing of an n whose n-grams never match.
    package enum Smoothing: Sendable, Equatable {
        case none
        /// Exponential smoothing, 1 / (2ᵏ · total) for the k-th such n (NIST).
        case exponential
        /// A number in place of no matches.
        case floor(Double)
        /// A number that is added to matches and total of each n above 1.
        case add(Double)
    }

    /// The BLEU score in per cent, and what it is made of.
    package struct Score: Sendable, Equatable {
        package let score: Double
        /// The n-gram precisions in per cent, for n from 1 to 4.
        package let precisions: [Double]
        package let brevityPenalty: Double
        /// The words of all hypotheses, and of the references closest to them in length.
        package let hypothesisLength: Int
        package let referenceLength: Int
    }

    /// The longest n-grams that count.
    package static let order = 4

    package var tokenizer: BLEUTokenizer
    package var smoothing: Smoothing
    package var lowercases: Bool

    package init(
        _ tokenizer: BLEUTokenizer = .thirteenA, smoothing: Smoothing = .exponential, lowercases: Bool = false
    ) {
        (self.tokenizer, self.smoothing, self.lowercases) = (tokenizer, smoothing, lowercases)
    }

    /// - Parameter references: of each hypothesis, at least one.
    package func corpus(_ hypotheses: [String], _ references: [[String]]) -> Score {
        precondition(hypotheses.count == references.count, "BLEU: \(hypotheses.count) and \(references.count) lines")
        var (matches, totals) = (Array(repeating: 0, count: BLEU.order), Array(repeating: 0, count: BLEU.order))
        var (length, referenceLength) = (0, 0)
        for (hypothesis, references) in zip(hypotheses, references) {
            precondition(!references.isEmpty, "BLEU: a line without a reference")
            let words = words(hypothesis)
            let others = references.map(self.words)
            length += words.count
            referenceLength += BLEU.closest(others.map(\.count), to: words.count)
            for n in 1...BLEU.order {
                let counts = BLEU.grams(words, n)
                var most: [[[UInt8]]: Int] = [:]
                for other in others { most.merge(BLEU.grams(other, n)) { max($0, $1) } }
                for (gram, count) in counts { matches[n - 1] += min(count, most[gram] ?? 0) }
                totals[n - 1] += max(0, words.count - n + 1)
            }
        }
        return score(matches, totals, length, referenceLength)
    }

    private func words(_ line: String) -> [[UInt8]] {
        var line = line
        while line.unicodeScalars.last?.properties.isWhitespace ?? false { line.unicodeScalars.removeLast() }
        return tokenizer.words(lowercases ? line.lowercasedWithFinalSigma : line)
    }

    private static func grams(_ words: [[UInt8]], _ n: Int) -> [[[UInt8]]: Int] {
        guard words.count >= n else { return [:] }
        var counts: [[[UInt8]]: Int] = [:]
        for start in 0...(words.count - n) { counts[Array(words[start..<start + n]), default: 0] += 1 }
        return counts
    }

    /// The nearest length, the shorter of two.
    private static func closest(_ lengths: [Int], to length: Int) -> Int {
        lengths.min { (abs($0 - length), $0) < (abs($1 - length), $1) } ?? 0
    }

    private func score(_ matches: [Int], _ totals: [Int], _ length: Int, _ referenceLength: Int) -> Score {
        let penalty =
            length >= referenceLength
            ? 1 : length == 0 ? 0 : exponential(1 - Double(referenceLength) / Double(length))
        var precisions = [Double](repeating: 0, count: BLEU.order)
        var divisor = 1.0
        if matches.contains(where: { $0 > 0 }) {
            for n in 0..<BLEU.order {
                var (hits, total) = (Double(matches[n]), Double(totals[n]))
                if case .add(let extra) = smoothing, n > 0 { (hits, total) = (hits + extra, total + extra) }
                if total == 0 { break }
                if hits == 0 {
                    switch smoothing {
                    case .exponential:
                        divisor *= 2
                        hits = 1 / divisor
                    case .floor(let value): hits = value
                    case .none, .add: break
                    }
                }
                precisions[n] = 100 * hits / total
            }
        }
        // Logarithms of nothing count as a very small one, as in the reference.
        let sum = precisions.reduce(0) { $0 + ($1 == 0 ? -9_999_999_999 : naturalLogarithm($1)) }
        let score = matches.contains { $0 > 0 } ? penalty * exponential(sum / Double(BLEU.order)) : 0
        return Score(
            score: score, precisions: precisions, brevityPenalty: penalty, hypothesisLength: length,
            referenceLength: referenceLength)
    }
}
