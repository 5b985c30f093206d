/// The agreement of predicted labels with the right ones: accuracy, precision, recall, F1.
package struct Classification: Sendable {
    /// The average over labels.
    package enum Average: Sendable, Equatable {
        /// The scores of one label, the positive one.
        case binary(positive: String)
        /// The scores of all decisions together: for single labels the accuracy.
        case micro
        /// The mean over all labels that occur.
        case macro
    }

    let predictions: [ByteText]
    let labels: [ByteText]

    /// - Precondition: as many predictions as labels, at least one.
    package init(predictions: [String], labels: [String]) {
        precondition(
            predictions.count == labels.count && !labels.isEmpty,
            "Classification: \(predictions.count) predictions of \(labels.count)")
        self.predictions = predictions.map(ByteText.init)
        self.labels = labels.map(ByteText.init)
    }

    package var accuracy: Double {
        Double(zip(predictions, labels).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) }) / Double(labels.count)
    }

    /// Precision, recall and their harmonic mean; each 0 where there is nothing to divide by.
    package func scores(_ average: Average) -> (precision: Double, recall: Double, f1: Double) {
        switch average {
        case .binary(let positive): return scores(of: [ByteText(positive)])
        case .micro: return scores(of: Set(labels).union(predictions))
        case .macro:
            let all = Set(labels).union(predictions).sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
            let each = all.map { scores(of: [$0]) }
            func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
            return (mean(each.map(\.precision)), mean(each.map(\.recall)), mean(each.map(\.f1)))
        }
    }

    private func scores(of classes: Set<ByteText>) -> (precision: Double, recall: Double, f1: Double) {
        var (right, predicted, actual) = (0, 0, 0)
        for (prediction, label) in zip(predictions, labels) {
            if classes.contains(prediction) { predicted += 1 }
            if classes.contains(label) { actual += 1 }
            if prediction == label && classes.contains(label) { right += 1 }
        }
        return FMeasure.of(right: right, predicted: predicted, actual: actual)
    }
}

/// Precision, recall and F1 from counts.
package enum FMeasure {
    package static func of(right: Int, predicted: Int, actual: Int) -> (precision: Double, recall: Double, f1: Double) {
        let precision = predicted == 0 ? 0 : Double(right) / Double(predicted)
        let recall = actual == 0 ? 0 : Double(right) / Double(actual)
        return (precision, recall, precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall))
    }

    /// The scores of spans in IOB2 tags, as seqeval counts them: a span is right when its type and both ends are.
    ///
    /// - Parameter strict: whether only what begins with `B-` is a span (seqeval's strict mode with IOB2).
    package static func ofSpans(predictions: [[String]], labels: [[String]], strict: Bool = false) -> (
        precision: Double, recall: Double, f1: Double
    ) {
        precondition(predictions.count == labels.count, "FMeasure: \(predictions.count) and \(labels.count) texts")
        var (right, predicted, actual) = (0, 0, 0)
        for (prediction, label) in zip(predictions, labels) {
            let (found, wanted) = (spans(prediction, strict: strict), spans(label, strict: strict))
            predicted += found.count
            actual += wanted.count
            right += found.intersection(wanted).count
        }
        return of(right: right, predicted: predicted, actual: actual)
    }

    /// An entity: its type and the range of tags that it spans.
    struct Span: Hashable {
        let type: ByteText
        let range: Range<Int>
    }

    /// An I- that follows no tag of its type begins a span, as in conlleval.
    static func spans(_ tags: [String], strict: Bool = false) -> Set<Span> {
        var spans: Set<Span> = []
        var open: (type: ByteText, start: Int)?
        for (index, tag) in (tags + ["O"]).enumerated() {
            let parts = tag.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let type = ByteText(parts.count == 2 ? parts[1] : "")
            let continues = parts[0] == "I" && open?.type == type
            if !continues, let span = open {
                spans.insert(Span(type: span.type, range: span.start..<index))
                open = nil
            }
            if !continues && (parts[0] == "B" || (parts[0] == "I" && !strict)) { open = (type, index) }
        }
        return spans
    }
}

/// A text compared by its bytes.
struct ByteText: Hashable, Sendable {
    let bytes: [UInt8]
    init(_ text: String) { bytes = Array(text.utf8) }
}
