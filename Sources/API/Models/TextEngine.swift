package import MartletGeneration

/// A text engine, which continues token sequences for a server: many at once, each by its own settings.
///
/// The seam between the API and whatever runs the model.
package protocol TextEngine: Sendable {
    /// Begins a generation. `receive` is called in order, from any thread, and returns at once; its last event is
    /// `.finished` or `.failed`.
    ///
    /// - Returns: what ends the generation within one step; it may be called at any time.
    func submit(
        _ request: TokenRequest, _ receive: @escaping @Sendable (TokenEvent) -> Void
    ) -> @Sendable () -> Void

    /// The load of the engine: how many generations run and how many wait.
    var load: EngineLoad { get }

    /// The most tokens that a text can have, with its prompt.
    var longestText: Int { get }
}

/// The request for a generation, in tokens.
package struct TokenRequest: Sendable {
    package var prompt: [Int32]
    package var maximumTokens: Int
    package var sampling: Sampling
    /// The number of alternatives that are reported with each token; nil reports no probabilities at all.
    package var alternatives: Int?
    /// The constraint on the text.
    package var constraint: (any TokenConstraint)?
    package var stopTokens: Set<Int32>
    /// The rules for tokens that may not, or must, come next, by the whole text.
    package var rules = TokenRules()
    /// Speculative decoding by prompt look-up: whether what followed earlier in the text is guessed to follow again.
    package var guesses = false
    /// The tenant whose request it is: tenants take turns, and share no beginnings of texts with one another.
    package var tenant = 0

    package init(prompt: [Int32], maximumTokens: Int, sampling: Sampling, stopTokens: Set<Int32>) {
        (self.prompt, self.maximumTokens) = (prompt, maximumTokens)
        (self.sampling, self.stopTokens) = (sampling, stopTokens)
    }
}

/// An event of a generation.
package enum TokenEvent: Sendable {
    /// The generation left the queue; so many tokens of its prompt were known from an earlier text.
    case began(cachedTokens: Int)
    case token(SampledToken)
    /// So many tokens were guessed so far, and so many of them were right.
    case guessed(GuessCounts)
    case finished(FinishReason)
    case failed(any Error)
}

/// Speculation of a text: tokens that were guessed, and those of them that were right.
package struct GuessCounts: Sendable, Hashable {
    package var guessed = 0
    package var accepted = 0

    package static func + (a: GuessCounts, b: GuessCounts) -> GuessCounts {
        GuessCounts(guessed: a.guessed + b.guessed, accepted: a.accepted + b.accepted)
    }
}

/// The load of an engine.
package struct EngineLoad: Sendable, Equatable {
    package var running: Int
    package var waiting: Int
    /// The tokens that were guessed since its beginning, and those of them that were right.
    package var guessedTokens = 0
    package var acceptedTokens = 0
    /// Texts that were read whole, and the passes that they shared.
    package var texts = 0
    package var textPasses = 0
    /// Blocks of 64 positions of keys and values that somebody's text has now, and how many there may be.
    package var usedBlocks = 0
    package var blocks = 0
    /// How often a text gave its blocks to an older one since the engine's beginning.
    package var preemptions = 0

    package init(running: Int, waiting: Int) { (self.running, self.waiting) = (running, waiting) }

    /// True where nothing runs or waits.
    package var isIdle: Bool { running == 0 && waiting == 0 }
}
