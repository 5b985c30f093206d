package import MartletGeneration

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
    /// The numbers of tokens guessed so far and of those that were right.
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
