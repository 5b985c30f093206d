/// Speculative decoding of one sequence (arXiv:2211.17192): what is guessed of it, by prompt look-up where the text
/// repeats itself, else by a draft model, each as long as it pays.
package struct TokenGuesses: Sendable {
    /// The source of guesses.
    package enum Source: Sendable, Hashable, CaseIterable { case lookup, draft }

    private var lookup: PromptLookup?
    private var policies: [Source: DraftPolicy] = [:]
    private var source = Source.lookup

    /// - Precondition: there is a source.
    package init(_ sources: Set<Source> = [.lookup]) {
        precondition(!sources.isEmpty, "TokenGuesses: no source")
        if sources.contains(.lookup) { lookup = PromptLookup() }
        for source in sources { policies[source] = DraftPolicy() }
    }

    /// The number of tokens that a source should guess for the next step, in which `sequences` write.
    package mutating func count(_ source: Source, sequences: Int = 1, _ costs: SpeculationCosts) -> Int {
        policies[source]?.count(sequences: sequences, isDrafted: source == .draft, costs) ?? 0
    }

    /// Returns at most `count` tokens that followed earlier in the text; `tokens` is the same text as before and what
    /// was added.
    package mutating func lookedUp(_ count: Int, after tokens: [Int32]) -> [Int32] {
        lookup?.read(tokens)
        return count > 0 ? lookup?.draft(count) ?? [] : []
    }

    /// Says whose the guesses of the next step are.
    package mutating func choose(_ source: Source) { self.source = source }

    /// Takes note of what came of the guesses of a step.
    package mutating func note(guessed: Int, accepted: Int) {
        policies[source]?.note(drafted: guessed, accepted: accepted)
    }
}
