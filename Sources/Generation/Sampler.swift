import MartletPlatform
public import MartletTensors

/// Chooses tokens: a pure function of logits, settings, the tokens so far and the step, so that a seed repeats itself exactly.
///
/// The order is the reference's: repeat penalty, temperature, top-k, top-p, min-p.
public struct Sampler: Sendable {
    private let sampling: Sampling
    private var random: Random

    /// - Precondition: `sampling` has no offences.
    public init(_ sampling: Sampling) {
        precondition(sampling.offences.isEmpty, "Sampler: \(sampling.offences.joined(separator: "; "))")
        self.sampling = sampling
        random = Random(seed: sampling.seed)
    }

    /// The token that follows.
    ///
    /// - Parameters:
    ///   - logits: `[vocabulary]`.
    ///   - history: the tokens so far, which the repeat penalty looks at.
    public mutating func next(_ logits: Tensor, history: [Int32]) -> Int32 {
        if sampling.temperature == 0 && sampling.repeatPenalty == 1 { return Int32(logits.argmax()) }
        var values = logits.values
        penalise(&values, history)
        if sampling.temperature == 0 { return Int32(Tensor(values, shape: [values.count]).argmax()) }
        return draw(from: candidates(values))
    }

    private func penalise(_ values: inout [Float], _ history: [Int32]) {
        guard sampling.repeatPenalty != 1 else { return }
        for token in Set(history) where Int(token) < values.count {
            let value = values[Int(token)]
            values[Int(token)] = value > 0 ? value / sampling.repeatPenalty : value * sampling.repeatPenalty
        }
    }

    /// The tokens that may be drawn with their probabilities (not rescaled), most probable first where an order matters.
    private func candidates(_ values: [Float]) -> [(token: Int, probability: Double)] {
        let largest = values.reduce(-Float.infinity) { $1 > $0 ? $1 : $0 }
        let temperature = Double(sampling.temperature)
        var weights = values.map { $0.isNaN ? 0 : exp((Double($0) - Double(largest)) / temperature) }
        var kept = Array(weights.indices)
        if sampling.topK > 0 && sampling.topK < kept.count {
            kept = Sampler.largest(weights, among: kept) { kept, _ in kept >= sampling.topK }
            kept.removeLast(max(0, kept.count - sampling.topK))
        }
        let total = kept.reduce(0) { $0 + weights[$1] }
        for token in kept { weights[token] /= total }
        if sampling.topP < 1 {
            kept = Sampler.largest(weights, among: kept) { _, mass in mass >= Double(sampling.topP) }
            var mass = 0.0
            let end = kept.firstIndex { token in
                mass += weights[token]
                return mass >= Double(sampling.topP)
            }
            if let end { kept.removeLast(kept.count - end - 1) }
        }
        if sampling.minP > 0 {
            let most = kept.reduce(0) { max($0, weights[$1]) }
            kept.removeAll { weights[$0] < most * Double(sampling.minP) }
        }
        return kept.map { ($0, weights[$0]) }
    }

    /// The indices with the largest weights, in descending order, at least as many as `enough` (of their number and their sum) asks for.
    ///
    /// Looks below an ever lower threshold instead of sorting a whole vocabulary for a handful.
    private static func largest(_ weights: [Double], among indices: [Int], _ enough: (Int, Double) -> Bool) -> [Int] {
        let most = indices.reduce(0) { max($0, weights[$1]) }
        var threshold = most / 16
        while threshold > most * 1e-30 {
            let above = indices.filter { weights[$0] >= threshold }
            if enough(above.count, above.reduce(0) { $0 + weights[$1] }) { return sorted(above, weights) }
            threshold /= 256
        }
        return sorted(indices, weights)
    }

    private static func sorted(_ indices: [Int], _ weights: [Double]) -> [Int] {
        indices.sorted { weights[$0] == weights[$1] ? $0 < $1 : weights[$0] > weights[$1] }
    }

    private mutating func draw(from candidates: [(token: Int, probability: Double)]) -> Int32 {
        let total = candidates.reduce(0) { $0 + $1.probability }
        var left = random.uniform() * total
        for (token, probability) in candidates {
            left -= probability
            if left < 0 { return Int32(token) }
        }
        return Int32(candidates.last?.token ?? 0)
    }
}
