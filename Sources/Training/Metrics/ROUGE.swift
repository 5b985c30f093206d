/// ROUGE-1, ROUGE-2 and ROUGE-L of a summary as rouge-score computes them without its stemmer (Lin 2004): F1 of the
/// n-grams, or of the longest common subsequence, of lower-case ASCII letters and digits.
package enum ROUGE {
    /// The F1 scores of single words, pairs and the longest common subsequence, from 0 to 1.
    package struct Scores: Sendable, Equatable {
        package var one = 0.0
        package var two = 0.0
        package var longest = 0.0
    }

    /// The means over all summaries, from 0 to 1.
    package static func corpus(_ summaries: [String], _ references: [String]) -> Scores {
        precondition(summaries.count == references.count, "ROUGE: \(summaries.count) and \(references.count) texts")
        var sum = Scores()
        for (summary, reference) in zip(summaries, references) {
            let scores = scores(summary, reference)
            sum.one += scores.one
            sum.two += scores.two
            sum.longest += scores.longest
        }
        let count = Double(max(1, summaries.count))
        return Scores(one: sum.one / count, two: sum.two / count, longest: sum.longest / count)
    }

    /// The scores of one summary, from 0 to 1.
    package static func scores(_ summary: String, _ reference: String) -> Scores {
        let (found, wanted) = (words(summary), words(reference))
        return Scores(
            one: overlap(found, wanted, 1), two: overlap(found, wanted, 2),
            longest: FMeasure.of(
                right: commonSubsequence(found, wanted), predicted: found.count, actual: wanted.count
            ).f1)
    }

    private static func words(_ text: String) -> [[UInt8]] {
        let lower = text.lowercased().utf8
        return lower.split { !(48...57).contains($0) && !(97...122).contains($0) }.map(Array.init)
    }

    private static func overlap(_ found: [[UInt8]], _ wanted: [[UInt8]], _ n: Int) -> Double {
        func grams(_ words: [[UInt8]]) -> [[[UInt8]]: Int] {
            var counts: [[[UInt8]]: Int] = [:]
            for start in 0..<max(0, words.count - n + 1) { counts[Array(words[start..<start + n]), default: 0] += 1 }
            return counts
        }
        let (a, b) = (grams(found), grams(wanted))
        let right = a.reduce(0) { $0 + min($1.value, b[$1.key] ?? 0) }
        return FMeasure.of(right: right, predicted: a.values.reduce(0, +), actual: b.values.reduce(0, +)).f1
    }

    private static func commonSubsequence(_ a: [[UInt8]], _ b: [[UInt8]]) -> Int {
        var row = [Int](repeating: 0, count: b.count + 1)
        for word in a {
            var diagonal = 0
            for (index, other) in b.enumerated() {
                let above = row[index + 1]
                row[index + 1] = word == other ? diagonal + 1 : max(above, row[index])
                diagonal = above
            }
        }
        return row[b.count]
    }
}
