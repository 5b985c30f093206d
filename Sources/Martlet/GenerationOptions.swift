public import MartletGeneration

/// What to generate, and when to stop.
public struct GenerationOptions: Sendable, Hashable {
    /// At most this many new tokens.
    public var maximumTokens: Int
    /// The choice of the next token from the logits.
    public var sampling: Sampling
    /// The text ends where one of these begins; it is not part of the result.
    public var stopTexts: [String]
    /// Ends the generation besides the model's own end-of-text tokens.
    public var stopTokens: Set<Int32>
    /// Whether the model's end-of-text tokens end the generation.
    public var endOfText: EndOfText

    /// The element type of the key-value cache.
    public var cache: CacheType

    /// The meaning of the model's end-of-text tokens: they end the generation, or are tokens like others.
    public enum EndOfText: Sendable, Hashable { case stops, ignored }

    /// Options for a generation; the defaults take the most probable token, 128 times at most.
    public init(
        maximumTokens: Int = 128, sampling: Sampling = .greedy, stopTexts: [String] = [], stopTokens: Set<Int32> = [],
        endOfText: EndOfText = .stops, cache: CacheType = .f32
    ) {
        (self.maximumTokens, self.sampling, self.stopTexts) = (maximumTokens, sampling, stopTexts)
        (self.stopTokens, self.endOfText, self.cache) = (stopTokens, endOfText, cache)
    }
}

/// A piece of generated text: never part of a character.
public struct GeneratedPiece: Sendable, CustomStringConvertible {
    /// The text: whole characters, perhaps none.
    public let text: String
    /// The tokens that this piece completed.
    public let tokens: [Int32]
    /// What the whole generation was, with its last piece.
    public let summary: GenerationSummary?

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
    /// From the request to the first token: the prompt is read in this time.
    public let promptSeconds: Double
    /// From the first token to the last.
    public let generationSeconds: Double
}
