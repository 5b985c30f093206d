import MartletGeneration
import MartletModels
import MartletPlatform
import MartletTokenizers

/// Text from a token generator: whole characters only, ended by stop texts.
struct TextGenerator: ~Copyable {
    private var tokens: TokenGenerator
    private var stream: TextStream
    private var stops: StopTexts
    private var pending: [Int32] = []
    private let promptTokens: Int
    private let began = ContinuousClock.now
    private var first: ContinuousClock.Instant?
    private var ended = false

    init(
        _ model: LanguageModel, prompt: [Int32], _ options: GenerationOptions, memory: TokenGenerator.Memory? = nil
    ) throws(GenerationError) {
        tokens = try TokenGenerator(
            model.decoder, prompt: prompt, TextGenerator.tokenOptions(model, options), memory: memory, on: model.device)
        stream = TextStream(model.tokenizer)
        stops = StopTexts(options.stopTexts)
        promptTokens = prompt.count
    }

    /// - Throws: ``GenerationError`` naming everything that is wrong with a request, before anything is computed.
    static func check(
        _ model: LanguageModel, prompt: [Int32], _ options: GenerationOptions
    ) throws(GenerationError) {
        try TokenGenerator.check(model.architecture, prompt, tokenOptions(model, options))
    }

    private static func tokenOptions(_ model: LanguageModel, _ options: GenerationOptions) -> TokenGenerator.Options {
        let ends = options.endOfText == .stops ? model.endOfTextTokens : []
        return TokenGenerator.Options(
            maximumTokens: options.maximumTokens, sampling: options.sampling,
            stopTokens: options.stopTokens.union(ends), cache: options.cache.elementType, rules: options.rules)
    }

    /// What was read and written, for a later text that begins alike.
    var memory: TokenGenerator.Memory { tokens.memory }

    /// The next piece, after one chunk of the prompt or one token; its text may be empty. Nil after the last one.
    ///
    /// - Throws: ``TokenizerError`` for a token that the model has and the tokenizer lacks.
    mutating func next() throws(TokenizerError) -> GeneratedPiece? {
        guard !ended else { return nil }
        guard tokens.isPromptRead else {
            tokens.readPrompt()
            return GeneratedPiece(text: "", tokens: [], summary: nil)
        }
        guard let token = tokens.next() else { return last(tokens.finish ?? .length) }
        if first == nil { first = .now }
        pending.append(token)
        let text = stops.append(try stream.append(token))
        if stops.found { return last(.stop, text: text) }
        guard !text.isEmpty else { return GeneratedPiece(text: "", tokens: [], summary: nil) }
        defer { pending = [] }
        return GeneratedPiece(text: text, tokens: pending, summary: nil)
    }

    private mutating func last(_ finish: FinishReason, text: String = "") -> GeneratedPiece {
        ended = true
        let rest = finish == .stop && stops.found ? "" : stops.append(stream.finish()) + stops.finish()
        let now = ContinuousClock.now
        return GeneratedPiece(
            text: text + rest, tokens: pending,
            summary: GenerationSummary(
                finish: finish, promptTokens: promptTokens, rememberedTokens: tokens.rememberedCount,
                generatedTokens: tokens.tokens.count - promptTokens,
                promptSeconds: ((first ?? now) - began).seconds,
                generationSeconds: (now - (first ?? now)).seconds))
    }
}
