import MartletPlatform
package import MartletTensors

/// The beams of one prompt: running and finished ones, in the arithmetic of the reference, where "never" is a score of
/// −10⁹.
package struct BeamItem: Sendable {
    /// A continuation and what its tokens cost.
    private struct Beam: Sendable {
        var tokens: [Int32]
        var logProbabilities: [Float]
        var score: Float
    }

    /// A beam with one more token, not yet copied.
    private struct Candidate {
        let parent: Int
        let token: Int32
        let step: Float
        let score: Float
    }

    package let prompt: [Int32]
    private let options: BeamSearch.Options
    private let maximumTokens: Int
    private var beams: [Beam]
    /// The finished beams, at most `options.beams`, best first.
    private var finished: [Beam] = []
    private var canImprove = true
    package private(set) var isDone = false

    /// - Parameter context: the most positions of a text; nil where nothing limits them.
    package init(prompt: [Int32], _ options: BeamSearch.Options, context: Int?) {
        (self.prompt, self.options) = (prompt, options)
        maximumTokens = context.map { min(options.maximumTokens, $0 - prompt.count) } ?? options.maximumTokens
        // All but the first beam begin as good as impossible, so that beams part at the first token.
        beams = (0..<options.beams).map { Beam(tokens: prompt, logProbabilities: [], score: $0 == 0 ? 0 : -1e9) }
    }

    /// The prompt and what each beam added.
    package var sequences: [[Int32]] { beams.map(\.tokens) }

    /// The best finished continuations.
    package func best(_ count: Int) -> [BeamSearch.Hypothesis] {
        finished.prefix(count).map {
            .init(tokens: Array($0.tokens[prompt.count...]), logProbabilities: $0.logProbabilities, score: $0.score)
        }
    }

    /// The number of continuations of each beam that are looked at.
    static func candidates(_ options: BeamSearch.Options) -> Int {
        options.beams == 1 ? 1 : max(2, 1 + options.stopTokens.count) * options.beams
    }

    /// The step that the rules are told of for the next token of beam `index`.
    func rulesStep(_ index: Int, source: [Int32]) -> TokenRules.Step {
        .init(
            tokens: beams[index].tokens, promptCount: prompt.count, maximumNewTokens: maximumTokens,
            stopTokens: options.stopTokens, source: source)
    }

    /// One token more, by the logits of each beam, or of the prompt alone as long as they have not parted.
    ///
    /// - Parameters:
    ///   - logits: `[beams or 1, vocabulary]`.
    ///   - source: What the text is written about, for the rules.
    /// - Returns: for each of the next beams, which row of `logits` it continues.
    package mutating func step(_ logits: Tensor, source: [Int32]) -> [Int] {
        let rows = logits.shape.rows
        precondition(rows == 1 || rows == beams.count, "BeamItem: \(rows) rows for \(beams.count) beams")
        let steps = (0..<rows).map { rulesStep($0, source: source) }
        let scores = TokenScores.best(
            BeamItem.candidates(options), of: logits, options.rules, steps, beams: options.beams)
        return step { scores[min($0, rows - 1)] }.map { min($0, rows - 1) }
    }

    /// One token more.
    ///
    /// - Parameter scores: those of a beam.
    /// - Returns: for each of the next beams, which one it continues.
    mutating func step(_ scores: (Int) -> TokenScores) -> [Int] {
        let length = beams[0].tokens.count + 1 - prompt.count
        let kept = candidates(scores)
        let ends = kept.map { options.stopTokens.contains($0.token) || length >= maximumTokens }
        finish(kept, ends, length: length)
        let next = chooseRunning(kept, ends)
        isDone = !continues(ends, length: length)
        return next
    }

    /// The best extensions of all beams, best first.
    private func candidates(_ scores: (Int) -> TokenScores) -> [Candidate] {
        let count = BeamItem.candidates(options)
        var kept: [Candidate] = []
        for (parent, beam) in beams.enumerated() {
            for (token, step) in scores(parent).best {
                let score = step + beam.score
                if kept.count == count, let last = kept.last, score <= last.score { continue }
                // Among equals, what came first stays first.
                var place = kept.count
                while place > 0, kept[place - 1].score < score { place -= 1 }
                kept.insert(Candidate(parent: parent, token: token, step: step, score: score), at: place)
                if kept.count > count { kept.removeLast() }
            }
        }
        return kept
    }

    /// Takes those of the best that end among the finished, if they are good enough.
    private mutating func finish(_ kept: [Candidate], _ ends: [Bool], length: Int) {
        let isFull = finished.count == options.beams && options.earlyStopping == .whenFull
        guard canImprove, !isFull else { return }
        let divisor = Float(pow(Double(length), Double(options.lengthPenalty)))
        for (candidate, ends) in zip(kept, ends).prefix(options.beams) where ends {
            var beam = extended(candidate)
            beam.score = candidate.score / divisor
            let place = finished.firstIndex { $0.score < beam.score } ?? finished.count
            finished.insert(beam, at: place)
        }
        if finished.count > options.beams { finished.removeLast(finished.count - options.beams) }
    }

    private mutating func chooseRunning(_ kept: [Candidate], _ ends: [Bool]) -> [Int] {
        let ranked = zip(kept, ends).map { ($0, $0.score + ($1 ? -1e9 : 0)) }.enumerated()
            .sorted { $0.element.1 == $1.element.1 ? $0.offset < $1.offset : $0.element.1 > $1.element.1 }
            .prefix(options.beams).map(\.element)
        beams = ranked.map { candidate, score in
            var beam = extended(candidate)
            beam.score = score
            return beam
        }
        return ranked.map { $0.0.parent }
    }

    private func extended(_ candidate: Candidate) -> Beam {
        var beam = beams[candidate.parent]
        beam.tokens.append(candidate.token)
        beam.logProbabilities.append(candidate.step)
        return beam
    }

    /// Returns whether a running beam may still become one of the best.
    private mutating func continues(_ ends: [Bool], length: Int) -> Bool {
        let longest = options.earlyStopping == .never && options.lengthPenalty > 0 ? maximumTokens : length
        let best = beams[0].score / Float(pow(Double(longest), Double(options.lengthPenalty)))
        let isFull = finished.count == options.beams
        let worst = isFull ? finished[finished.count - 1].score : -1e9
        canImprove = canImprove && best > worst
        return canImprove && !(isFull && options.earlyStopping == .whenFull) && ends.contains(false)
    }
}
