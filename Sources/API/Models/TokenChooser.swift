import MartletGeneration
import MartletPlatform
import MartletTensors

/// Chooses the next token of one generation: adjusts logits, samples, and reports log-probabilities.
struct TokenChooser {
    private let adjustment: LogitAdjustment
    private let alternatives: Int?
    private let promptCount: Int
    private var sampler: Sampler

    init(_ request: TokenRequest) {
        (adjustment, alternatives, promptCount) = (request.adjustment, request.alternatives, request.prompt.count)
        sampler = Sampler(request.sampling)
    }

    /// - Parameters:
    ///   - logits: `[vocabulary]`.
    ///   - history: The prompt and what was generated.
    mutating func next(_ logits: Tensor, history: [Int32]) -> ChosenToken {
        guard !adjustment.isEmpty || alternatives != nil else {
            return ChosenToken(id: sampler.next(logits, history: history))
        }
        let values = logits.values
        var adjusted = values
        adjustment.apply(to: &adjusted, generated: history.dropFirst(promptCount))
        let id = sampler.next(Tensor(adjusted, shape: [adjusted.count]), history: history)
        var chosen = ChosenToken(id: id)
        guard let alternatives else { return chosen }
        let normaliser = TokenChooser.logSumExp(values)
        chosen.logProbability = values[Int(id)] - normaliser
        chosen.alternatives = TokenChooser.largest(values, alternatives).map {
            .init(id: Int32($0), logProbability: values[$0] - normaliser)
        }
        return chosen
    }

    /// ln Σ exp(x).
    static func logSumExp(_ values: [Float]) -> Float {
        let largest = values.reduce(-Float.infinity) { max($0, $1) }
        guard largest.isFinite else { return largest }
        return largest + Float(log(values.reduce(0.0) { $0 + exp(Double($1 - largest)) }))
    }

    /// The indices of the `count` largest values, best first; of equal ones the lower index first.
    static func largest(_ values: [Float], _ count: Int) -> [Int] {
        guard count > 0 else { return [] }
        var best: [Int] = []
        for index in values.indices {
            if best.count == count, let last = best.last, values[index] <= values[last] { continue }
            let place = best.firstIndex { values[$0] < values[index] } ?? best.count
            best.insert(index, at: place)
            if best.count > count { best.removeLast() }
        }
        return best
    }
}
