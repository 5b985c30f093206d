/// Speculative decoding without a draft model (arXiv:2211.17192): what is guessed of one sequence, as long as it pays.
package struct TokenGuesses: Sendable {
    private var lookup = PromptLookup()
    private var policy = DraftPolicy()

    package init() {}

    /// How many tokens were guessed, and how many of them were right.
    package var counts: (guessed: Int, accepted: Int) { (policy.drafted, policy.accepted) }

    /// The tokens that are guessed to follow `tokens`, the same text as before and what was added.
    package mutating func next(after tokens: [Int32], atMost most: Int) -> [Int32] {
        lookup.read(tokens)
        let count = policy.count()
        return lookup.draft(min(count, max(0, most)))
    }

    package mutating func note(guessed: Int, accepted: Int) { policy.note(drafted: guessed, accepted: accepted) }
}
