import MartletGeneration
import MartletPlatform
import MartletServing
import MartletTokenizers

/// Text from the tokens of one generation: whole characters only, ended by stop texts.
struct TextAssembly: Sendable {
    private var stream: ContinuedText
    private var stops: StopTexts
    private var pending: [SampledToken] = []
    private let promptTokens: Int
    private let began = ContinuousClock.now
    private var count = 0

    /// - Parameter continued: the tokens that the text goes on with; none where it is a text of its own.
    init(_ tokenizer: Tokenizer, prompt: Int, after continued: [Int32], stopTexts: [String]) {
        stream = ContinuedText(tokenizer, after: continued)
        (stops, promptTokens) = (StopTexts(stopTexts), prompt)
    }

    /// The piece that a token completes; its text may be empty. The last one where a stop text is complete.
    ///
    /// - Throws: ``TokenizerError`` for a token that the model has and the tokenizer lacks.
    mutating func append(_ token: SampledToken, _ progress: EngineProgress) throws(TokenizerError) -> GeneratedPiece {
        pending.append(token)
        count += 1
        let text = stops.append(try stream.append(token.token))
        if stops.found { return last(.stop, progress, text: text) }
        return text.isEmpty ? GeneratedPiece() : piece(text, nil)
    }

    /// The piece that is left after the last token.
    mutating func finish(_ finish: FinishReason, _ progress: EngineProgress) -> GeneratedPiece {
        last(finish, progress, text: stops.append(stream.finish()) + stops.finish())
    }

    private mutating func last(_ finish: FinishReason, _ progress: EngineProgress, text: String) -> GeneratedPiece {
        let now = ContinuousClock.now
        let first = progress.firstToken ?? now
        return piece(
            text,
            GenerationSummary(
                finish: finish, promptTokens: promptTokens, rememberedTokens: progress.sharedTokens,
                generatedTokens: count, guessedTokens: progress.guessedTokens,
                acceptedTokens: progress.acceptedTokens, promptSeconds: (first - began).seconds,
                generationSeconds: ((progress.lastToken ?? now) - first).seconds))
    }

    private mutating func piece(_ text: String, _ summary: GenerationSummary?) -> GeneratedPiece {
        defer { pending = [] }
        let scores = pending.filter { $0.logProbability != nil }
        return GeneratedPiece(text: text, tokens: pending.map(\.token), scores: scores, summary: summary)
    }
}
