package import MartletGeneration
import MartletModels
import MartletTensors

/// What continues token sequences for a server: many at once, each by its own settings.
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

    /// How many generations run and how many wait.
    var load: EngineLoad { get }
}

/// What a generation is asked for, in tokens.
package struct TokenRequest: Sendable {
    package var prompt: [Int32]
    package var maximumTokens: Int
    package var sampling: Sampling
    package var adjustment = LogitAdjustment()
    /// How many alternatives are reported with each token; nil reports no probabilities at all.
    package var alternatives: Int?
    package var stopTokens: Set<Int32>

    package init(prompt: [Int32], maximumTokens: Int, sampling: Sampling, stopTokens: Set<Int32>) {
        (self.prompt, self.maximumTokens) = (prompt, maximumTokens)
        (self.sampling, self.stopTokens) = (sampling, stopTokens)
    }
}

/// What happens to a generation.
package enum TokenEvent: Sendable {
    /// It left the queue; so many tokens of its prompt were known from an earlier text.
    case began(cachedTokens: Int)
    case token(ChosenToken)
    case finished(FinishReason)
    case failed(any Error)
}

/// A token that was chosen, with its log-probability where that was asked for.
package struct ChosenToken: Sendable, Equatable {
    package struct Alternative: Sendable, Equatable {
        package let id: Int32
        package let logProbability: Float
    }
    package let id: Int32
    /// ln p by the model, before temperature and filters.
    package var logProbability: Float?
    /// The most probable tokens, best first.
    package var alternatives: [Alternative] = []
}

/// How busy an engine is.
package struct EngineLoad: Sendable, Equatable {
    package var running: Int
    package var waiting: Int

    package init(running: Int, waiting: Int) { (self.running, self.waiting) = (running, waiting) }
}

/// What is added to logits before a token is chosen: OpenAI's `logit_bias`, `presence_penalty`, `frequency_penalty`.
package struct LogitAdjustment: Sendable, Equatable {
    package var bias: [Int32: Float] = [:]
    /// Subtracted once from the logit of every token that was generated.
    package var presencePenalty: Float = 0
    /// Subtracted as often as the token was generated.
    package var frequencyPenalty: Float = 0

    package init() {}

    var isEmpty: Bool { bias.isEmpty && presencePenalty == 0 && frequencyPenalty == 0 }

    /// Changes `logits`, `[vocabulary]`, by what was `generated` so far.
    func apply(to logits: inout [Float], generated: some Sequence<Int32>) {
        for (id, value) in bias where logits.indices.contains(Int(id)) { logits[Int(id)] += value }
        guard presencePenalty != 0 || frequencyPenalty != 0 else { return }
        var counts: [Int32: Int] = [:]
        for id in generated { counts[id, default: 0] += 1 }
        for (id, count) in counts where logits.indices.contains(Int(id)) {
            logits[Int(id)] -= presencePenalty + Float(count) * frequencyPenalty
        }
    }
}
