package import MartletLayers
import MartletModels
package import MartletTensors

/// Losses of sentence embeddings: texts that belong together come near, others part (arXiv:1908.10084).
package struct EmbeddingLoss: VectorLoss {
    /// The form of the loss.
    package enum Form: Sendable, Equatable {
        /// Cross-entropy of each first text's partner among those of the whole batch, by cosines times `scale`; hard
        /// negatives are further candidates (arXiv:1705.00652). Texts that are equal to the partner are no candidates.
        case inBatchNegatives(scale: Float)
        /// The squared error of cosines, (cosine − score)².
        case cosine
        /// The triplet loss, max(0, |a − p| − |a − n| + margin) by Euclidean distances (arXiv:1503.03832).
        case triplet(margin: Float)
        /// 1 − the cosine with a teacher's vector of the same text.
        case teacher
    }

    private let form: Form
    private let row: Architecture.SequenceRow
    /// True where distances are those of vectors of length 1; cosines always are.
    private let isNormalized: Bool
    /// The leading elements on which the loss is also taken (Matryoshka, arXiv:2205.13147); all of them when empty.
    private let widths: [Int]

    package init(_ form: Form, from row: Architecture.SequenceRow, isNormalized: Bool, widths: [Int] = []) {
        (self.form, self.row, self.isNormalized, self.widths) = (form, row, isNormalized, widths)
    }

    package func vectors(_ hidden: Tensor, _ batch: Batch) -> Tensor { batch.rows.standIns(row, in: hidden) }

    package func compare(_ pooled: Tensor, _ batch: Batch, _ flow: inout GradientFlow) -> TaskResult {
        var (loss, ends): (Double, [Tensor]) = (0, [])
        for width in widths.isEmpty ? [pooled.shape.width] : widths {
            let part = width == pooled.shape.width ? pooled : pooled.selecting(columns: 0..<width)
            switch form {
            case .inBatchNegatives(let scale): loss += ranking(part.unitRows, batch, scale, &ends, &flow)
            case .cosine: loss += regression(part.unitRows, batch, &ends, &flow)
            case .teacher: loss += imitation(part.unitRows, batch, &ends, &flow)
            case .triplet(let margin):
                loss += distances(isNormalized ? part.unitRows : part, batch, margin, &ends, &flow)
            }
        }
        return TaskResult(loss, ends, outputs: pooled.untracked.unitRows)
    }

    /// The texts at `place` of each example.
    private func texts(_ vectors: Tensor, _ batch: Batch, _ place: Int) -> Tensor {
        let count = batch.textsPerExample
        return vectors.selecting(rows: Array(stride(from: place, to: vectors.shape[0], by: count)))
    }

    // MARK: - The forms

    private func ranking(
        _ vectors: Tensor, _ batch: Batch, _ scale: Float, _ ends: inout [Tensor], _ flow: inout GradientFlow
    ) -> Double {
        let (per, sequences) = (batch.textsPerExample, batch.rows.sequences)
        // Partners first, then the hard negatives.
        let candidates = (1..<per).flatMap { Array(stride(from: $0, to: sequences.count, by: per)) }
        var logits =
            texts(vectors, batch, 0).multiplied(byStored: vectors.selecting(rows: candidates)) * scale
        let count = sequences.count / per
        let spellings = candidates.map { Array(batch.rows.tokens[sequences[$0].rows]) }
        var mask = [Float](repeating: 0, count: count * candidates.count)
        for anchor in 0..<count {
            for other in candidates.indices where other != anchor && spellings[other] == spellings[anchor] {
                mask[anchor * candidates.count + other] = -1e9
            }
        }
        if mask.contains(where: { $0 < 0 }) { logits = logits + flow.device.tensor(mask, shape: logits.shape) }
        ends.append(logits)
        return flow.crossEntropy(ofLogits: logits, (0..<count).map { Int32($0) }, LossForm()).loss
    }

    private func regression(
        _ vectors: Tensor, _ batch: Batch, _ ends: inout [Tensor], _ flow: inout GradientFlow
    ) -> Double {
        let cosines = (texts(vectors, batch, 0) * texts(vectors, batch, 1)).rowSums
        ends.append(cosines)
        return flow.add(elementwise: cosines, batch.numbers) { value, target in
            let difference = Double(value) - Double(target)
            return (difference * difference, Float(2 * difference))
        }
    }

    private func imitation(
        _ vectors: Tensor, _ batch: Batch, _ ends: inout [Tensor], _ flow: inout GradientFlow
    ) -> Double {
        let wanted = batch.vectorsOfTeacher(flow.device).selecting(columns: 0..<vectors.shape.width)
        let cosines = (vectors * wanted.unitRows).rowSums
        ends.append(cosines)
        flow.add(flow.device.make(cosines.shape).filled(with: -1), to: cosines.node)
        return cosines.values.reduce(0) { $0 + 1 - Double($1) }
    }

    private func distances(
        _ vectors: Tensor, _ batch: Batch, _ margin: Float, _ ends: inout [Tensor], _ flow: inout GradientFlow
    ) -> Double {
        let anchor = texts(vectors, batch, 0)
        let squares = (1...2).map { place -> Tensor in
            let difference = anchor + texts(vectors, batch, place) * -1
            return (difference * difference).rowSums
        }
        let (near, far) = (squares[0].values, squares[1].values)
        var loss = 0.0
        var slopes = [[Float](repeating: 0, count: near.count), [Float](repeating: 0, count: near.count)]
        for index in near.indices {
            let (a, b) = (Double(near[index]).squareRoot(), Double(far[index]).squareRoot())
            let excess = a - b + Double(margin)
            guard excess > 0 else { continue }
            loss += excess
            // d √s = ds / 2 √s; where two texts have one vector, no direction is better than another.
            slopes[0][index] = a > 0 ? Float(0.5 / a) : 0
            slopes[1][index] = b > 0 ? Float(-0.5 / b) : 0
        }
        for (square, slope) in zip(squares, slopes) {
            flow.add(flow.device.tensor(slope, shape: square.shape), to: square.node)
        }
        ends += squares
        return loss
    }

    // MARK: - Measures

    package func measures(_ results: [(result: TaskResult, batch: Batch)]) -> [Measure] {
        if case .teacher = form {
            let cosines = results.flatMap { result, batch in
                let wanted = batch.vectorsOfTeacher(Device(threads: 1)).unitRows
                return (result.outputs * wanted).rowSums.values.map(Double.init)
            }
            return [Measure("cosine", cosines.reduce(0, +) / Double(max(1, cosines.count)))]
        }
        var (cosines, scores, first, count): ([Double], [Double], Int, Int) = ([], [], 0, 0)
        for (result, batch) in results {
            let pairs = (texts(result.outputs, batch, 0) * texts(result.outputs, batch, 1)).rowSums
            cosines += pairs.values.map(Double.init)
            scores += batch.numbers.map(Double.init)
            let all = texts(result.outputs, batch, 0).multiplied(byStored: texts(result.outputs, batch, 1))
            count += all.shape[0]
            first += all.largestColumns.enumerated().reduce(0) { $0 + ($1.offset == $1.element ? 1 : 0) }
        }
        let found = [Measure("first-of-batch", Double(first) / Double(max(1, count)))]
        guard scores.count == cosines.count else { return found }
        return [
            Measure("spearman", Correlation.spearman(cosines, scores)),
            Measure("pearson", Correlation.pearson(cosines, scores)),
        ] + found
    }
}

extension Batch {
    /// `[examples, width]`.
    ///
    /// - Precondition: a teacher has been asked, as preparation has made sure.
    fileprivate func vectorsOfTeacher(_ device: Device) -> Tensor {
        precondition(
            examples > 0 && !teacher.isEmpty && teacher.count % examples == 0,
            "vectorsOfTeacher: \(teacher.count) numbers for \(examples) examples")
        return device.tensor(teacher, shape: [examples, teacher.count / examples])
    }
}

extension Tensor {
    /// Each row divided by its length: an RMS norm whose weights are 1/√width.
    fileprivate var unitRows: Tensor {
        let device = device(for: "unitRows")
        let weight = device.make([shape.width]).filled(with: 1 / Float(shape.width).squareRoot())
        return rmsNorm(weight: weight, weightOffset: 0, epsilon: 1e-24)
    }

    /// The sums of rows, `[rows, width]` to `[rows, 1]`.
    fileprivate var rowSums: Tensor {
        multiplied(byStored: device(for: "rowSums").make([1, shape.width]).filled(with: 1))
    }
}
