import MartletPlatform
import MartletTensors

/// The most probable next tokens of one row, by log-probability after the rules; what may not come has −∞.
struct TokenScores {
    /// The best tokens first; as many as were asked for, or the whole vocabulary.
    let best: [(token: Int32, logProbability: Float)]

    /// The best scores of every row of `logits` `[rows, vocabulary]`, each at a step of its own.
    ///
    /// - Parameter beams: of the search; the rules of a single one, which is greedy, change logits, those of several
    ///   log-probabilities.
    static func best(
        _ count: Int, of logits: Tensor, _ rules: TokenRules, _ steps: [TokenRules.Step], beams: Int
    ) -> [TokenScores] {
        if rules.changesScores {
            return steps.indices.map {
                TokenScores(count, of: logits.rows($0..<$0 + 1).values, rules, steps[$0], isGreedy: beams == 1)
            }
        }
        let verdicts = steps.map { rules.verdict($0) }
        let most = verdicts.reduce(0) { max($0, $1.forbidden.count) }
        let summaries = logits.rowSummaries(largest: count + most)
        return verdicts.indices.map { row in
            var summary = summaries[row]
            if rules.remainder == .renormalised, !verdicts[row].forbidden.isEmpty {
                let allowed = logits.rows(row..<row + 1).hiding(columns: verdicts[row].forbidden.map { Int($0) })
                summary = allowed.summary(row: 0, largest: count)
            }
            return TokenScores(count, summary, verdicts[row], vocabulary: logits.shape.width)
        }
    }

    /// The best scores of one row whose scores the rules change.
    private init(_ count: Int, of logits: [Float], _ rules: TokenRules, _ step: TokenRules.Step, isGreedy: Bool) {
        var scores = logits
        if !isGreedy { TokenRules.normalise(&scores) }
        rules.apply(to: &scores, step)
        if isGreedy { TokenRules.normalise(&scores) }
        let order = scores.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1] }
        best = order.prefix(count).map { (Int32($0), scores[$0]) }
    }

    private init(_ count: Int, _ summary: RowSummary, _ verdict: TokenRules.Verdict, vocabulary: Int) {
        let forbidden = Set(verdict.forbidden)
        var best: [(token: Int32, logProbability: Float)] = []
        if let forced = verdict.forced {
            if !forbidden.contains(forced) { best.append((forced, 0)) }
        } else {
            for (index, value) in summary.largest where best.count < count && !forbidden.contains(Int32(index)) {
                best.append((Int32(index), summary.logProbability(of: value)))
            }
        }
        // A search needs its number of candidates, be they impossible.
        var token: Int32 = 0
        while best.count < min(count, vocabulary) {
            if !best.contains(where: { $0.token == token }) { best.append((token, -.infinity)) }
            token += 1
        }
        self.best = best
    }
}
