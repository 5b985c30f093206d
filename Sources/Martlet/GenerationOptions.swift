public import MartletConstraints
public import MartletGeneration

/// The options of a generation: what to generate, and when to stop.
public struct GenerationOptions: Sendable, Hashable {
    /// The maximum number of new tokens.
    public var maximumTokens: Int
    /// The choice of the next token from the logits.
    public var sampling: Sampling
    /// The rules for tokens that may not, or must, come next.
    public var rules: TokenRules
    /// The stop texts: the text ends where one of these begins, which is not part of the result.
    public var stopTexts: [String]
    /// The stop tokens, which end the generation besides the model's own end-of-text tokens.
    public var stopTokens: Set<Int32>
    /// The treatment of the model's end-of-text tokens: whether they end the generation.
    public var endOfText: EndOfText

    /// The element type of the key-value cache.
    public var cache: CacheType
    /// The form that the text must have: a JSON schema, a regular expression or a grammar; nil leaves it free.
    public var constraint: OutputConstraint?
    /// Speculative decoding by prompt look-up: what followed earlier in the text is guessed to follow again, and
    /// verified several tokens at once. The text is the same; texts that copy are written faster.
    public var guesses = false
    /// Speculative decoding by a draft model, where one was loaded beside the model. The text is the same.
    public var isDrafted = true
    /// The adapter that writes, by the name that it was loaded under; nil for the model alone.
    public var adapter: String?
    /// The number of most probable tokens that are scored beside each token that comes, in ``GeneratedPiece/scores``;
    /// nil scores none.
    public var logProbabilities: Int?
    /// The priority among generations that wait for this model: higher begins first.
    public var priority = 0
    /// The time after which the generation is given up, finished or not.
    public var timeLimit: Duration?

    /// The meaning of the model's end-of-text tokens: they end the generation, or are tokens like others.
    public enum EndOfText: Sendable, Hashable { case stops, ignored }

    /// Options for a generation; the defaults take the most probable token, 128 times at most.
    public init(
        maximumTokens: Int = 128, sampling: Sampling = .greedy, rules: TokenRules = TokenRules(),
        stopTexts: [String] = [], stopTokens: Set<Int32> = [], endOfText: EndOfText = .stops, cache: CacheType = .f32
    ) {
        (self.maximumTokens, self.sampling, self.rules) = (maximumTokens, sampling, rules)
        (self.stopTexts, self.stopTokens) = (stopTexts, stopTokens)
        (self.endOfText, self.cache) = (endOfText, cache)
    }

    /// The options that a model's files name, behind a prompt of `count` tokens. Beams are for
    /// ``LanguageModel/search(_:_:)``.
    package init(_ defaults: GenerationDefaults, after count: Int = 0) {
        self.init(sampling: defaults.sampling, rules: defaults.rules, stopTexts: defaults.stopTexts)
        maximumTokens = defaults.maximumNewTokens(after: count) ?? maximumTokens
        rules.minimumNewTokens = defaults.minimumNewTokens(after: count)
    }
}

/// A piece of generated text: never part of a character.
public struct GeneratedPiece: Sendable, CustomStringConvertible {
    /// The text: whole characters, perhaps none.
    public let text: String
    /// The tokens that this piece completed.
    public let tokens: [Int32]
    /// Their log-probabilities, where ``GenerationOptions/logProbabilities`` asks for them.
    public let scores: [SampledToken]
    /// The summary of the whole generation, with its last piece.
    public let summary: GenerationSummary?

    init(
        text: String = "", tokens: [Int32] = [], scores: [SampledToken] = [], summary: GenerationSummary? = nil
    ) {
        (self.text, self.tokens, self.scores, self.summary) = (text, tokens, scores, summary)
    }

    /// The text of the piece, for people.
    public var description: String { text }
}

/// The summary of a finished generation.
public struct GenerationSummary: Sendable, Hashable {
    /// The reason why the generation ended.
    public let finish: FinishReason
    /// The number of prompt tokens.
    public let promptTokens: Int
    /// The number of prompt tokens that were known from an earlier text (prefix cache), and not computed again.
    public let rememberedTokens: Int
    /// The number of tokens that were generated.
    public let generatedTokens: Int
    /// The number of tokens that were guessed, by prompt look-up or a draft model.
    public let guessedTokens: Int
    /// The number of guessed tokens that were right, and needed no pass of their own.
    public let acceptedTokens: Int
    /// The seconds from the request to the first token: the prompt is read in this time (prefill).
    public let promptSeconds: Double
    /// The seconds from the first token to the last.
    public let generationSeconds: Double
}
