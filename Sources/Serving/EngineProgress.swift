package import MartletGeneration

/// The usage of a request that ended.
package struct EngineUsage: Sendable, Hashable {
    package let finish: FinishReason
    package let generatedTokens: Int
    /// The number of times that its blocks were taken for an older request, and it was read again.
    package let preemptions: Int
}

/// The progress of a request: when its parts happened.
package struct EngineProgress: Sendable, Hashable {
    /// The time at which it left the queue; nil while it waits.
    package internal(set) var began: ContinuousClock.Instant?
    package internal(set) var firstToken: ContinuousClock.Instant?
    package internal(set) var lastToken: ContinuousClock.Instant?
    /// The number of prompt tokens that were not computed, because another request began alike.
    package internal(set) var sharedTokens = 0
    /// The number of tokens that were guessed, and of those that were right.
    package internal(set) var guessedTokens = 0
    package internal(set) var acceptedTokens = 0
}
