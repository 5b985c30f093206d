public import MartletConstraints
public import MartletGeneration

/// What to generate, and when to stop.
public struct GenerationOptions: Sendable, Hashable {
    /// At most this many new tokens.
    public var maximumTokens: Int
    /// The choice of the next token from the logits.
    public var sampling: Sampling
    /// Which tokens may not, or must, come next.
    public var rules: TokenRules
    /// The text ends where one of these begins; it is not part of the result.
    public var stopTexts: [String]
    /// Ends the generation besides the model's own end-of-text tokens.
    public var stopTokens: Set<Int32>
    /// Whether the model's end-of-text tokens end the generation.
    public var endOfText: EndOfText

    /// The element type of the key-value cache.
    public var cache: CacheType
    /// The form that the text must have: a JSON schema, a regular expression or a grammar; nil leaves it free.
    public var constraint: OutputConstraint?
    /// Speculative decoding by prompt look-up: what followed earlier in the text is guessed to follow again, and
    /// verified several tokens at once. The text is the same; texts that copy are written faster.
    public var guesses = false
    /// Whether the draft model guesses, where one was loaded beside the model. The text is the same.
    public var isDrafted = true
    /// The adapter that writes, by the name that it was loaded under; nil for the model alone.
    public var adapter: String?
    /// How many of the most probable tokens are scored beside each token that comes, in ``GeneratedPiece/scores``; nil
    /// scores none.
    public var logProbabilities: Int?
    /// Among generations that wait for this model, higher begins first.
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

    /// What a model's files say, behind a prompt of `count` tokens. Beams are for ``LanguageModel/search(_:_:)``.
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
    /// What the whole generation was, with its last piece.
    public let summary: GenerationSummary?

    init(
        text: String = "", tokens: [Int32] = [], scores: [SampledToken] = [], summary: GenerationSummary? = nil
    ) {
        (self.text, self.tokens, self.scores, self.summary) = (text, tokens, scores, summary)
    }

    /// The text of it, for people.
    public var description: String { text }
}

/// What a finished generation was.
public struct GenerationSummary: Sendable, Hashable {
    /// The reason why the generation ended.
    public let finish: FinishReason
    /// The tokens of the prompt.
    public let promptTokens: Int
    /// How many of them were known from an earlier text, and not computed again.
    public let rememberedTokens: Int
    /// The tokens that were generated.
    public let generatedTokens: Int
    /// The tokens that were guessed, by prompt look-up or a draft model.
    public let guessedTokens: Int
    /// How many of them were right, and needed no pass of their own.
    public let acceptedTokens: Int
    /// From the request to the first token: the prompt is read in this time.
    public let promptSeconds: Double
    /// From the first token to the last.
    public let generationSeconds: Double
}
