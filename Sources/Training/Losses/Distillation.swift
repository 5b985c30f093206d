import MartletTensors

/// The knowledge distillation of a student by its teacher's classes, beside the right one (arXiv:1503.02531).
package struct Distillation: Sendable, Equatable {
    /// The temperature by which the logits of both are divided before they are compared.
    package var temperature: Double
    /// The teacher's share of the loss.
    package var weight: Double

    package init(temperature: Double, weight: Double) { (self.temperature, self.weight) = (temperature, weight) }
}

extension GradientFlow {
    /// The distillation loss, Σ over rows of (1 − w) · cross-entropy + w · T² · KL(softmax(teacher / T) ‖
    /// softmax(logits / T)).
    ///
    /// - Parameter teacher: its logits, as many as `logits` `[n, classes]`.
    mutating func distill(
        _ logits: Tensor, _ targets: [Int32], _ form: LossForm, teacher: [Float], _ distillation: Distillation
    ) -> Double {
        precondition(
            teacher.count == logits.shape.elements, "distillation: \(teacher.count) numbers for \(logits.shape)")
        let (weight, temperature) = (distillation.weight, distillation.temperature)
        let gradient = logits.untracked * 1
        let own = gradient.crossEntropy(targets, form, gradientFactor: Float(1 - weight)).loss
        let (values, width) = (logits.values, logits.shape.width)
        var loss = (1 - weight) * own
        for row in 0..<logits.shape.rows {
            let range = row * width..<(row + 1) * width
            let student = Distillation.logSoftmax(values[range], temperature)
            let right = Distillation.logSoftmax(teacher[range], temperature)
            for (index, at) in range.enumerated() {
                let share = exponential(right[index])
                loss += weight * temperature * temperature * share * (right[index] - student[index])
                unsafe gradient.mutableFloats[at] += Float(
                    weight * temperature * (exponential(student[index]) - share))
            }
        }
        add(gradient, to: logits.node)
        return loss
    }
}

extension Distillation {
    fileprivate static func logSoftmax(_ logits: ArraySlice<Float>, _ temperature: Double) -> [Double] {
        let scaled = logits.map { Double($0) / temperature }
        let largest = scaled.max() ?? 0
        let total = largest + naturalLogarithm(scaled.reduce(0) { $0 + exponential($1 - largest) })
        return scaled.map { $0 - total }
    }
}
