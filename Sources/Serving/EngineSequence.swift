import MartletGeneration
import MartletPlatform

/// A request that the engine works on: what it has written, and what decides its next token.
struct EngineSequence {
    let request: EngineRequest
    let output: EngineOutput
    let submitted: ContinuousClock.Instant
    /// How far the text is known to reach, for rotations that depend on it.
    var extent: Int
    private(set) var generated = 0
    var preemptions = 0
    private var sampler: Sampler
    private var constraint: (any TokenConstraint)?
    private var guesses: TokenGuesses?
    /// The tokens that are guessed to come next, of which the step verifies as many as it has rows for.
    private(set) var drafts: [Int32] = []

    init(_ request: EngineRequest, _ output: EngineOutput, submitted: ContinuousClock.Instant, guesses: Bool) {
        (self.request, self.output, self.submitted) = (request, output, submitted)
        extent = request.tokens.count
        sampler = Sampler(request.sampling, prompt: request.tokens)
        constraint = request.constraint
        self.guesses = guesses && request.constraint == nil && request.rules.isEmpty ? TokenGuesses() : nil
    }

    /// New tokens that may still come.
    var room: Int { request.maximumTokens - generated }

    /// Guesses what follows `tokens`; none where nothing was asked for or guesses are mostly wrong.
    mutating func guess(after tokens: [Int32]) {
        let most = room - 1
        drafts = guesses?.next(after: tokens, atMost: most) ?? []
    }

    mutating func note(guessed: Int, accepted: Int) { guesses?.note(guessed: guessed, accepted: accepted) }

    /// How the token after `tokens` is chosen.
    ///
    /// - Throws: why the constraint lets none come.
    mutating func choice(after tokens: [Int32]) throws -> SamplingRow {
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
    mutating func take(_ token: Int32) -> FinishReason? {
        if request.stopTokens.contains(token) { return .stop }
        sampler.append(token)
        constraint?.append(token)
        generated += 1
        if constraint?.isFinished == true { return .stop }
        return room <= 0 ? .length : nil
    }

    /// Tokens of which no others could come, which need no logits; none where their probabilities are wanted.
    mutating func forcedTokens() throws -> [Int32] {
        guard request.scored == nil, request.rules.isEmpty else { return [] }
        return try constraint?.forcedTokens() ?? []
    }
}
