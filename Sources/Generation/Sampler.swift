package import MartletTensors

/// Token sampling: chooses the next token of one sequence from its logits.
///
/// The choice is a function of the logits, the settings, the tokens so far and the position alone: the random number is
/// word `position` of the seed's Philox sequence. Whoever replays, preempts or verifies a sequence needs no saved
/// state. The order is the reference's: logit bias, penalties, temperature, top-k, top-p, min-p, typical-p,
/// epsilon, eta.
package struct Sampler: Sendable {
    private let sampling: Sampling
    private let rules: SelectionRules
    private var changes = LogitChanges()
    /// Tokens that were written, which the presence penalty counts once; empty without one.
    private var written: Set<Int32> = []

    /// - Parameter prompt: the tokens that were read, which the repeat penalty looks at.
    /// - Precondition: `sampling` has no offences.
    package init(_ sampling: Sampling, prompt: [Int32] = []) {
        precondition(sampling.offences.isEmpty, "Sampler: \(sampling.offences.joined(separator: "; "))")
        self.sampling = sampling
        rules = SelectionRules(
            temperature: sampling.temperature, topK: sampling.topK, topP: sampling.topP, minP: sampling.minP,
            typicalP: sampling.typicalP, epsilon: sampling.epsilonCutoff, eta: sampling.etaCutoff)
        for (token, bias) in sampling.logitBias where bias != 0 { changes.change(token, bias: bias) }
        if sampling.repeatPenalty != 1 {
            for token in Set(prompt) { changes.change(token, penalty: sampling.repeatPenalty) }
        }
    }

    /// Takes note of a token that was written, for the penalties.
    package mutating func append(_ token: Int32) {
        if sampling.repeatPenalty != 1 { changes.change(token, penalty: sampling.repeatPenalty) }
        guard sampling.presencePenalty != 0 || sampling.frequencyPenalty != 0 else { return }
        let presence = written.insert(token).inserted ? sampling.presencePenalty : 0
        changes.change(token, subtracting: presence + sampling.frequencyPenalty)
    }

    /// The token at `position` of the sequence.
    ///
    /// - Parameters:
    ///   - logits: `[rows, vocabulary]`, of which row `row` is looked at.
    ///   - mask: the tokens that may come; nil lets all. Where every logit is −∞ or no number, the lowest of them
    ///     comes.
    package func next(_ logits: Tensor, row: Int = 0, position: Int, allowing mask: TokenMask? = nil) -> Int32 {
        let uniform = sampling.temperature == 0 ? 0 : Random(seed: sampling.seed).uniform(at: UInt64(position))
        let token = logits.selection(row: row, rules, changes, allowed: mask?.words, uniform: uniform)
        return token.map { Int32($0) } ?? mask?.first ?? 0
    }

    /// The tokens that `next` draws from, with their probabilities. At temperature 0 there is nothing to draw.
    package func candidates(_ logits: Tensor, row: Int = 0, allowing mask: TokenMask? = nil) -> [(
        token: Int32, probability: Double
    )] {
        let candidates = logits.candidates(row: row, rules, changes, allowed: mask?.words)
        let total = candidates.reduce(0) { $0 + Double($1.weight) }
        return candidates.map { (Int32($0.token), Double($0.weight) / total) }
    }
}
