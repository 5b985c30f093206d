/// chrF and chrF++ of a corpus as sacreBLEU 2 computes them (Popović, 2015 and 2017): the F-score, recall weighing
/// twice as much as precision, of n-grams of characters without white space up to six, and for chrF++ of words up to
/// two, averaged over n.
package struct CharacterF: Sendable {
    /// Longest n-grams of words: 0 for chrF, 2 for chrF++.
    package var wordOrder: Int
    private static let characterOrder = 6
    private static let recallWeight = 2.0

    package init(wordOrder: Int = 0) { self.wordOrder = wordOrder }

    /// The counts of n-grams of one length, and of those that both sides have.
    private struct Counts {
        var hypothesis = 0
        var reference = 0
        var matches = 0
    }

    /// The score of a corpus in per cent.
    ///
    /// - Parameter references: of each hypothesis, at least one; the one with the best score of the line counts.
    package func corpus(_ hypotheses: [String], _ references: [[String]]) -> Double {
        precondition(hypotheses.count == references.count, "chrF: \(hypotheses.count) and \(references.count) lines")
        var sums = Array(repeating: Counts(), count: CharacterF.characterOrder + wordOrder)
        for (hypothesis, references) in zip(hypotheses, references) {
            let found = grams(hypothesis)
            var best: (score: Double, counts: [Counts])?
            for reference in references {
                let counts = zip(found, grams(reference)).map { CharacterF.counts($0, $1) }
                let score = CharacterF.score(counts)
                if best.map({ score > $0.score }) ?? true { best = (score, counts) }
            }
            precondition(best != nil, "chrF: a line without a reference")
            for (index, counts) in (best?.counts ?? []).enumerated() {
                sums[index].hypothesis += counts.hypothesis
                sums[index].reference += counts.reference
                sums[index].matches += counts.matches
            }
        }
        return CharacterF.score(sums)
    }

    private static func counts(
        _ hypothesis: [[Unicode.Scalar]: Int], _ reference: [[Unicode.Scalar]: Int]
    ) -> Counts {
        var counts = Counts()
        for (gram, count) in hypothesis {
            if !reference.isEmpty { counts.hypothesis += count }
            counts.matches += min(count, reference[gram] ?? 0)
        }
        counts.reference = reference.values.reduce(0, +)
        return counts
    }

    /// The score over the orders that both sides have.
    private static func score(_ counts: [Counts]) -> Double {
        var (precision, recall, orders) = (0.0, 0.0, 0.0)
        for count in counts where count.hypothesis > 0 && count.reference > 0 {
            precision += Double(count.matches) / Double(count.hypothesis)
            recall += Double(count.matches) / Double(count.reference)
            orders += 1
        }
        guard orders > 0 else { return 0 }
        (precision, recall) = (precision / orders, recall / orders)
        let factor = recallWeight * recallWeight
        guard precision + recall > 0 else { return 0 }
        return 100 * (1 + factor) * precision * recall / (factor * precision + recall)
    }

    /// The n-grams of each order and how often they occur; words stand apart by a line break, which no n-gram of
    /// characters has.
    private func grams(_ line: String) -> [[[Unicode.Scalar]: Int]] {
        let words = Array(line.unicodeScalars).split(whereSeparator: CharacterF.isSpace).map(Array.init)
        let characters = words.flatMap { $0 }
        func count<Element>(_ items: [Element], _ n: Int, _ spelled: (ArraySlice<Element>) -> [Unicode.Scalar])
            -> [[Unicode.Scalar]: Int]
        {
            var counts: [[Unicode.Scalar]: Int] = [:]
            guard items.count >= n else { return counts }
            for start in 0...items.count - n { counts[spelled(items[start..<start + n]), default: 0] += 1 }
            return counts
        }
        let parts = words.flatMap(CharacterF.withoutPunctuation)
        return (1...CharacterF.characterOrder).map { count(characters, $0) { Array($0) } }
            + (0..<wordOrder).map { order in count(parts, order + 1) { Array($0.joined(separator: ["\n"])) } }
    }

    /// A word, and beside it the punctuation mark that ends it, or else begins it.
    private static func withoutPunctuation(_ word: [Unicode.Scalar]) -> [[Unicode.Scalar]] {
        guard word.count > 1 else { return [word] }
        if isPunctuation(word[word.count - 1]) { return [Array(word.dropLast()), [word[word.count - 1]]] }
        if isPunctuation(word[0]) { return [[word[0]], Array(word.dropFirst())] }
        return [word]
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }
}
