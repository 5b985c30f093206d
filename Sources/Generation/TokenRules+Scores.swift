import MartletPlatform

/// The rules on all scores of a row: for those that change scores, and for a text that is not searched but written
/// token by token.
extension TokenRules {
    /// Applies the rules in the order of transformers' logits processors; what may not come has −∞.
    package func apply(to scores: inout [Float], _ step: Step) {
        for entry in sequenceBias where ends(step.tokens, as: entry.tokens, stops: []) {
            change(&scores, entry.tokens.last) { $0 + entry.bias }
        }
        if encoderRepetitionPenalty != 1 { penalise(&scores, step.source, by: 1 / encoderRepetitionPenalty) }
        if repetitionPenalty != 1 { penalise(&scores, step.tokens, by: repetitionPenalty) }
        let verdict = verdict(step)
        if let forced = verdict.forced {
            for token in scores.indices { scores[token] = token == Int(forced) ? 0 : -.infinity }
        }
        if let decay, step.newTokens > decay.start {
            let growth = Float(pow(Double(decay.factor), Double(step.newTokens - decay.start))) - 1
            for stop in step.stopTokens { change(&scores, stop) { $0 + abs($0) * growth } }
        }
        for token in verdict.forbidden { change(&scores, token) { _ in -.infinity } }
        if remainder == .renormalised { TokenRules.normalise(&scores) }
    }

    private func penalise(_ scores: inout [Float], _ tokens: [Int32], by penalty: Float) {
        for token in Set(tokens) { change(&scores, token) { $0 < 0 ? $0 * penalty : $0 / penalty } }
    }

    private func change(_ scores: inout [Float], _ token: Int32?, _ change: (Float) -> Float) {
        guard let token, scores.indices.contains(Int(token)) else { return }
        scores[Int(token)] = change(scores[Int(token)])
    }

    /// log softmax.
    static func normalise(_ scores: inout [Float]) {
        let largest = scores.reduce(-Float.infinity) { max($0, $1) }
        guard largest > -.infinity else { return }
        let total = scores.reduce(0.0) { $0 + exp(Double($1 - largest)) }
        let logarithm = Float(log(total))
        for index in scores.indices { scores[index] = scores[index] - largest - logarithm }
    }
}
