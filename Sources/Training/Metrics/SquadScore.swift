import MartletJSON

/// Exact match and F1 of answers as SQuAD's own script computes them (Rajpurkar et al. 2016): lower case, without ASCII
/// punctuation, the words "a", "an" and "the", and superfluous blanks; the best over all right answers.
package enum SquadScore {
    /// Means over all questions, in per cent.
    package static func corpus(_ predictions: [String], _ answers: [[String]]) -> (exact: Double, f1: Double) {
        precondition(predictions.count == answers.count, "SquadScore: \(predictions.count) and \(answers.count)")
        guard !predictions.isEmpty else { return (0, 0) }
        var (exact, f1) = (0.0, 0.0)
        for (prediction, right) in zip(predictions, answers) {
            exact += right.contains { normalized($0) == normalized(prediction) } ? 1 : 0
            f1 += right.map { SquadScore.f1(prediction, $0) }.max() ?? 0
        }
        return (100 * exact / Double(predictions.count), 100 * f1 / Double(predictions.count))
    }

    /// Means over all questions of SQuAD 2.0, some of which have no answer (Rajpurkar et al. 2018): an empty prediction
    /// is right there, and wrong elsewhere.
    package static func second(_ predictions: [String], _ answers: [[String]]) -> (exact: Double, f1: Double) {
        precondition(predictions.count == answers.count, "SquadScore: \(predictions.count) and \(answers.count)")
        guard !predictions.isEmpty else { return (0, 0) }
        var (exact, f1) = (0.0, 0.0)
        for (prediction, given) in zip(predictions, answers) {
            let found = normalized(prediction)
            let kept = given.filter { !normalized($0).isEmpty }
            let right = kept.isEmpty ? [""] : kept
            exact += right.contains { normalized($0) == found } ? 1 : 0
            f1 +=
                right.map {
                    normalized($0).isEmpty || found.isEmpty
                        ? (normalized($0) == found ? 1 : 0) : SquadScore.f1(prediction, $0)
                }.max() ?? 0
        }
        return (100 * exact / Double(predictions.count), 100 * f1 / Double(predictions.count))
    }

    static func f1(_ prediction: String, _ answer: String) -> Double {
        let (found, wanted) = (normalized(prediction), normalized(answer))
        var left: [[UInt8]: Int] = [:]
        for word in wanted { left[word, default: 0] += 1 }
        var common = 0
        for word in found {
            guard let count = left[word], count > 0 else { continue }
            left[word] = count - 1
            common += 1
        }
        return FMeasure.of(right: common, predicted: found.count, actual: wanted.count).f1
    }

    /// The words that count.
    package static func normalized(_ text: String) -> [[UInt8]] {
        let articles = ["a", "an", "the"].map { Array($0.unicodeScalars) }
        var kept: [Unicode.Scalar] = []
        var word: [Unicode.Scalar] = []
        func close() {
            kept += articles.contains(word) ? [" "] : word
            word = []
        }
        for scalar in text.lowercasedWithFinalSigma.unicodeScalars where !isPunctuation(scalar) {
            if isOfWord(scalar) {
                word.append(scalar)
            } else {
                close()
                kept.append(scalar)
            }
        }
        close()
        let words = kept.split { $0.properties.isWhitespace || (0x1C...0x1F).contains($0.value) }
        return words.map { word in word.flatMap { Array(UTF8.encode($0) ?? .init()) } }
    }

    /// Returns whether a regular expression's \w takes the scalar; the underscore has gone with the punctuation.
    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
            .letterNumber, .otherNumber:
            true
        default: false
        }
    }

    /// Python's string.punctuation.
    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }
}
