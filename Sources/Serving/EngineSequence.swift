import MartletGeneration
import MartletPlatform

/// A request that the engine works on: what it has written, and what decides its next token.
final class EngineSequence {
    let request: EngineRequest
    let output: EngineOutput
    let submitted: ContinuousClock.Instant
    /// The extent of the text, as far as it is known to reach, for rotations that depend on it.
    var extent: Int
    private(set) var generated = 0
    var preemptions = 0
    private(set) var sampler: Sampler
    private var constraint: (any TokenConstraint)?
    /// The guesses of the text; nil where nothing is guessed.
    private(set) var guesses: TokenGuesses?
    /// The tokens that are guessed to come next, of which the step verifies as many as it has rows for.
    private(set) var drafts: [Int32] = []

    /// - Parameter sources: what there is to guess by.
    init(
        _ request: EngineRequest, _ output: EngineOutput, submitted: ContinuousClock.Instant,
        sources: Set<TokenGuesses.Source>
    ) {
        (self.request, self.output, self.submitted) = (request, output, submitted)
        extent = request.tokens.count
        sampler = Sampler(request.sampling, prompt: request.tokens)
        constraint = request.constraint
        guesses = sources.isEmpty ? nil : TokenGuesses(sources)
    }

    /// New tokens that may still come.
    var room: Int { request.maximumTokens - generated }

    /// The number of tokens that a source should guess now; none where nothing was asked for or guesses do not pay.
    func count(
        _ source: TokenGuesses.Source, sequences: Int, _ fixed: Int?, _ costs: SpeculationCosts
    ) -> Int {
        if let fixed { return fixed }
        return guesses?.count(source, sequences: sequences, costs) ?? 0
    }

    /// Guesses by prompt look-up what follows `tokens`.
    ///
    /// - Returns: how many tokens were found; nil for none.
    func lookUp(_ count: Int, after tokens: [Int32]) -> Int? {
        let most = min(count, room - 1)
        guard let found = guesses?.lookedUp(most, after: tokens), !found.isEmpty else { return nil }
        guess(found, from: .lookup)
        return found.count
    }

    func guess(_ tokens: [Int32], from source: TokenGuesses.Source) {
        drafts = tokens
        guesses?.choose(source)
    }

    func note(guessed: Int, accepted: Int) {
        guard guessed > 0 else { return }
        guesses?.note(guessed: guessed, accepted: accepted)
        output.note(guessed: guessed, accepted: accepted)
    }

    /// The choice of the token after `tokens`: its sampler, mask and rules.
    ///
    /// - Throws: why the constraint lets none come.
    func choice(after tokens: [Int32]) throws -> SamplingRow {
        var row = SamplingRow(
            sampler, position: request.tokens.count + generated, mask: try constraint?.allowed(),
            scored: request.scored)
        if !request.rules.isEmpty {
            row.ruling = .init(
                request.rules,
                .init(
                    tokens: tokens, promptCount: request.tokens.count, maximumNewTokens: request.maximumTokens,
                    stopTokens: request.stopTokens, source: request.tokens))
        }
        return row
    }

    /// Takes note of a token that was chosen.
    ///
    /// - Returns: why the text ends with it, if it does. A stop token is not part of the text.
    func take(_ token: Int32) -> FinishReason? {
        if request.stopTokens.contains(token) { return .stop }
        sampler.append(token)
        constraint?.append(token)
        generated += 1
        if constraint?.isFinished == true { return .stop }
        return room <= 0 ? .length : nil
    }

    /// Tokens of which no others could come, which need no logits; none where their probabilities are wanted.
    func forcedTokens() throws -> [Int32] {
        guard request.scored == nil, request.rules.isEmpty else { return [] }
        return try constraint?.forcedTokens() ?? []
    }
}
