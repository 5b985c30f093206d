import MartletLayers
package import MartletModels
package import MartletTensors

/// Cross-entropy of one class per text, or per row that has a tag.
package struct ClassLoss: TaskLoss {
    /// The unit that has a class: a whole text, or one row of it.
    package enum Unit: Sendable { case texts, rows }

    private let unit: Unit
    private let form: LossForm
    /// The names of the classes; of tags, in the IOB2 scheme.
    private let names: [String]
    /// The distillation in batches whose examples have a teacher's logits.
    private let distillation: Distillation?

    package init(_ unit: Unit, names: [String], _ form: LossForm = .init(), distillation: Distillation? = nil) {
        (self.unit, self.names, self.form, self.distillation) = (unit, names, form, distillation)
    }

    private func targets(_ batch: Batch) -> [Int32] {
        unit == .rows
            ? batch.targets
            : batch.labels.map { if case .category(let index) = $0 { index } else { Example.ignored } }
    }

    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        let logits = logits(head, hidden, batch, dropout)
        if let distillation, !batch.teacher.isEmpty {
            let loss = flow.distill(logits, targets(batch), form, teacher: batch.teacher, distillation)
            return TaskResult(loss, [logits], outputs: logits)
        }
        let sums = flow.crossEntropy(ofLogits: logits, targets(batch), form)
        return TaskResult(sums.loss, [logits], outputs: logits)
    }

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        var (found, wanted): ([[String]], [[String]]) = ([], [])
        for (result, batch) in results {
            let (best, targets) = (result.outputs.largestColumns, targets(batch))
            let ranges = unit == .rows ? batch.rows.sequences.map(\.rows) : [targets.indices]
            for range in ranges {
                let rows = range.filter { targets[$0] >= 0 }
                found.append(rows.map { names[best[$0]] })
                wanted.append(rows.map { names[Int(targets[$0])] })
            }
        }
        guard wanted.contains(where: { !$0.isEmpty }) else { return [] }
        let scores = Classification(predictions: found.flatMap { $0 }, labels: wanted.flatMap { $0 })
        if unit == .texts { return [Measure("accuracy", scores.accuracy), Measure("f1", scores.scores(.macro).f1)] }
        let spans = FMeasure.ofSpans(predictions: found, labels: wanted)
        return [
            Measure("entity-f1", spans.f1), Measure("precision", spans.precision), Measure("recall", spans.recall),
            Measure("accuracy", scores.accuracy),
        ]
    }
}

/// The mean squared error: Σ (y − t)² / n over the n numbers of a text (PyTorch's `MSELoss` per example).
package struct NumberLoss: TaskLoss {
    package init() {}

    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        let logits = logits(head, hidden, batch, dropout)
        let share = 1 / Double(logits.shape.width)
        let loss = flow.add(elementwise: logits, batch.numbers) { value, target in
            let difference = Double(value) - Double(target)
            return (share * difference * difference, Float(2 * share * difference))
        }
        return TaskResult(loss, [logits], outputs: logits)
    }

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        let found = results.flatMap { $0.result.outputs.values.map(Double.init) }
        let wanted = results.flatMap { $0.batch.numbers.map(Double.init) }
        return [
            Measure("pearson", Correlation.pearson(found, wanted)),
            Measure("spearman", Correlation.spearman(found, wanted)),
        ]
    }
}

/// The binary cross-entropy of any number of classes per text: the mean over classes of −t log σ(y) − (1 − t) log (1 −
/// σ(y)) (PyTorch's `BCEWithLogitsLoss` per example).
package struct MultiLabelLoss: TaskLoss {
    package init() {}

    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        let logits = logits(head, hidden, batch, dropout)
        let share = 1 / Double(logits.shape.width)
        let loss = flow.add(elementwise: logits, batch.numbers) { value, target in
            let (y, t) = (Double(value), Double(target))
            let power = exponential(-abs(y))
            let sigmoid = y >= 0 ? 1 / (1 + power) : power / (1 + power)
            return (share * (max(y, 0) - y * t + naturalLogarithm(1 + power)), Float(share * (sigmoid - t)))
        }
        return TaskResult(loss, [logits], outputs: logits)
    }

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        var (right, predicted, actual) = (0, 0, 0)
        for (result, batch) in results {
            for (value, target) in zip(result.outputs.values, batch.numbers) {
                predicted += value > 0 ? 1 : 0
                actual += target > 0.5 ? 1 : 0
                right += value > 0 && target > 0.5 ? 1 : 0
            }
        }
        let scores = FMeasure.of(right: right, predicted: predicted, actual: actual)
        return [Measure("f1", scores.f1), Measure("precision", scores.precision), Measure("recall", scores.recall)]
    }
}

/// The loss of an answer's span, its start and end: the mean of the cross-entropies of both over the rows of a text.
package struct SpanLoss: TaskLoss {
    package init() {}

    package func callAsFunction(
        _ head: HeadLayer, _ hidden: Tensor, _ batch: Batch, dropout: Dropout?, _ flow: inout GradientFlow
    ) -> TaskResult {
        let logits = logits(head, hidden, batch, dropout)
        let gradient = flow.device.make(logits.shape)
        var loss = 0.0
        for (sequence, label) in zip(batch.rows.sequences, batch.labels) {
            guard case .span(let span) = label else { continue }
            let rows = logits.untracked.rows(sequence.rows)
            for (column, target) in [span.lowerBound, span.upperBound].enumerated() {
                let scores = rows.selecting(columns: column..<column + 1).reshaped([1, sequence.rows.count])
                loss += 0.5 * scores.crossEntropy([Int32(target)], LossForm(), gradientFactor: 0.5).loss
                for (index, row) in sequence.rows.enumerated() {
                    unsafe gradient.mutableFloats[row * 2 + column] = scores.floats[index]
                }
            }
        }
        flow.add(gradient, to: logits.node)
        return TaskResult(loss, [logits], outputs: logits)
    }

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        var (right, count) = (0, 0)
        for (result, batch) in results {
            let values = result.outputs.values
            for (sequence, label) in zip(batch.rows.sequences, batch.labels) {
                guard case .span(let span) = label else { continue }
                func best(_ column: Int) -> Int {
                    sequence.rows.reduce(sequence.rows.lowerBound) {
                        values[$1 * 2 + column] > values[$0 * 2 + column] ? $1 : $0
                    } - sequence.rows.lowerBound
                }
                count += 1
                right += best(0) == span.lowerBound && best(1) == span.upperBound ? 1 : 0
            }
        }
        return [Measure("exact-rows", Double(right) / Double(max(1, count)))]
    }
}

extension Batch {
    /// The numbers of all labels, one after the other.
    var numbers: [Float] { labels.flatMap { if case .numbers(let numbers) = $0 { numbers } else { [] as [Float] } } }
}

extension GradientFlow {
    /// Adds Σ of a loss of each element of `values` with a target of its own, whose gradient goes to that element.
    mutating func add(
        elementwise values: Tensor, _ targets: [Float], _ loss: (Float, Float) -> (loss: Double, gradient: Float)
    ) -> Double {
        precondition(
            targets.count == values.shape.elements, "loss: \(targets.count) numbers for \(values.shape)")
        let each = zip(values.values, targets).map { loss($0, $1) }
        add(device.tensor(each.map(\.gradient), shape: values.shape), to: values.node)
        return each.reduce(0) { $0 + $1.loss }
    }
}

extension Tensor {
    /// The column with the largest number of each row; the first of equals.
    var largestColumns: [Int] {
        let (values, width) = (values, shape.width)
        return (0..<shape.rows).map { row in
            (0..<width).reduce(0) { values[row * width + $1] > values[row * width + $0] ? $1 : $0 }
        }
    }
}
