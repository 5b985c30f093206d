/// The metrics of an engine, what it has done and does, for any metrics system: counts since its beginning, and the
/// state after its last step.
package struct EngineMetrics: Sendable, Hashable {
    /// The number of steps, and of the rows that they computed: tokens of prompts and of texts.
    package var steps = 0
    package var rows = 0
    package var promptTokens = 0
    /// The number of prompt tokens that were not computed, because another request began alike (prefix cache).
    package var sharedTokens = 0
    package var generatedTokens = 0
    /// Texts that were read whole, sources of searches among them, and the passes in which they were.
    package var texts = 0
    package var textPasses = 0
    /// Tokens that were guessed, and those of them that were right.
    package var draftedTokens = 0
    package var acceptedTokens = 0
    package var finished = 0
    package var cancelled = 0
    /// The number of requests that passed their deadline or failed.
    package var failed = 0
    /// The number of requests that were not taken.
    package var refused = 0
    package var preemptions = 0
    /// The time of all steps in seconds.
    package var busySeconds = 0.0
    /// The time to first token (TTFT), summed over the requests that have begun to write: divide by `firstTokens`.
    package var firstTokens = 0
    package var secondsToFirstToken = 0.0
    /// The number of requests that are written, and of those that wait.
    package var running = 0
    package var waiting = 0
    /// The number of KV blocks in use, remembered for later beginnings, and at most, of 64 positions each.
    package var usedBlocks = 0
    package var rememberedBlocks = 0
    package var blocks = 0
    /// The size of the KV cache that is held, in bytes, a draft model's included.
    package var cacheBytes = 0
    /// The entries that are held on to: nothing where nothing runs or waits.
    package var held = Held()
    /// The time at which the last step ended; nil before the first one. A service whose requests wait while no step
    /// ends is stuck.
    package var lastStep: ContinuousClock.Instant?

    package init() {}

    /// Entries of an engine's books, which must all be gone when its requests are.
    package struct Held: Sendable, Hashable {
        /// The numbers of requests that the loop knows, that the scheduler knows, and that have keys and values.
        package var requests = 0
        package var scheduled = 0
        package var cached = 0
        /// The number of sequences that the draft model has read.
        package var drafted = 0
        /// The mail that has arrived and was not looked at: requests, cancellations, jobs.
        package var mail = 0

        package init() {}
    }
}
