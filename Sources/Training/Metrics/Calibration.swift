/// The calibration of a classifier: how far its confidence is from how often it is right (Guo et al.,
/// arXiv:1706.04599).
package enum Calibration {
    /// The expected calibration error: Σ over bins of equal width of |accuracy − mean confidence|, by their share of
    /// the predictions. A confidence on a bin's border belongs to the lower one.
    package static func error(confidences: [Double], isRight: [Bool], bins: Int = 15) -> Double {
        precondition(
            confidences.count == isRight.count && bins > 0,
            "Calibration: \(confidences.count) confidences of \(isRight.count)")
        var sums = Array(repeating: (confidence: 0.0, right: 0.0), count: bins)
        for (confidence, right) in zip(confidences, isRight) {
            let bin = min(bins - 1, max(0, Int((confidence * Double(bins)).rounded(.up)) - 1))
            sums[bin].confidence += confidence
            sums[bin].right += right ? 1 : 0
        }
        return sums.reduce(0) { $0 + abs($1.confidence - $1.right) } / Double(max(1, confidences.count))
    }
}

extension Classification {
    /// A class of its own: how it is found, and how often it occurs.
    package struct PerClass: Sendable {
        package let label: String
        package let precision, recall, f1: Double
        package let support: Int
    }

    /// Every class that occurs, in the order of its name's bytes.
    package var classes: [String] {
        let all = Set(labels).union(predictions).sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        return all.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    package var perClass: [PerClass] {
        classes.map { label in
            let (precision, recall, f1) = scores(.binary(positive: label))
            let support = labels.reduce(0) { $0 + ($1 == ByteText(label) ? 1 : 0) }
            return PerClass(label: label, precision: precision, recall: recall, f1: f1, support: support)
        }
    }

    /// The confusion matrix: how often each class (rows, as in ``classes``) was taken for each (columns).
    package var confusion: [[Int]] {
        let places = Dictionary(classes.enumerated().map { (ByteText($1), $0) }) { first, _ in first }
        var counts = Array(repeating: Array(repeating: 0, count: places.count), count: places.count)
        for (prediction, label) in zip(predictions, labels) {
            guard let row = places[label], let column = places[prediction] else { continue }
            counts[row][column] += 1
        }
        return counts
    }
}
