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
    /// The number of times that a text gave its blocks to an older one since the engine's beginning.
    package var preemptions = 0

    package init(running: Int, waiting: Int) { (self.running, self.waiting) = (running, waiting) }

    /// True where nothing runs or waits.
    package var isIdle: Bool { running == 0 && waiting == 0 }
}
