package import MartletGeneration

/// A request to an engine: continue these tokens.
package struct EngineRequest: Sendable {
    /// The prompt.
    package var tokens: [Int32]
    /// The maximum number of new tokens.
    package var maximumTokens: Int
    package var sampling: Sampling
    /// Tokens that end the text; they are not part of it.
    package var stopTokens: Set<Int32>
    /// The rules for tokens that may not, or must, come next, by the whole text.
    package var rules = TokenRules()
    /// The constraint on which tokens may come: a schema, a grammar.
    package var constraint: (any TokenConstraint)?
    /// Speculative decoding by prompt look-up: what followed earlier in the text is guessed to follow again, and
    /// verified several tokens at once while rows cost little. The tokens are the same.
    package var guesses = false
    /// Speculative decoding by the engine's draft model, where it has one. The tokens are the same.
    package var isDrafted = true
    /// The adapter over the engine's model that writes, by number; nil for the model alone.
    package var adapter: Int?
    /// The number of most probable tokens that are scored beside the chosen one; nil scores none.
    package var scored: Int?
    /// The priority: higher is admitted first and preempted last.
    package var priority = 0
    /// The deadline at which the request is given up, finished or not.
    package var deadline: ContinuousClock.Instant?
    /// The tenant whose request it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// The namespace: requests of one share the KV cache of equal beginnings; nil shares with nobody. The bits are the
    /// same.
    package var namespace: Int?

    package init(
        tokens: [Int32], maximumTokens: Int = 128, sampling: Sampling = .greedy, stopTokens: Set<Int32> = []
    ) {
        (self.tokens, self.maximumTokens) = (tokens, maximumTokens)
        (self.sampling, self.stopTokens) = (sampling, stopTokens)
    }
}
