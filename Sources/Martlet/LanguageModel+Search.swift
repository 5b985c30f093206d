public import MartletGeneration
import MartletLayers
import MartletTokenizers

/// A continuation that a search found.
public struct FoundText: Sendable, Hashable {
    /// The text without its stop token.
    public let text: String
    /// The tokens without the stop token.
    public let tokens: [Int32]
    /// The sum of log-probabilities, divided by length to the power of the length penalty.
    public let score: Float
    /// The reason why the continuation ended.
    public let finish: FinishReason
}

extension LanguageModel {
    /// The most probable continuations of `prompt` that a beam search finds, best first; the model's end-of-text tokens
    /// end them.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request.
    public func search(
        _ prompt: String, _ options: BeamSearch.Options
    ) async throws(GenerationError) -> [FoundText] {
        let result = await Task(executorPreference: ComputeThread()) { () -> Result<[FoundText], GenerationError> in
            Result { try self.found(prompt, options) }.mapError(GenerationError.init(wrapping:))
        }.value
        return try result.get()
    }

    /// Searches on the thread that calls.
    private func found(_ prompt: String, _ options: BeamSearch.Options) throws -> [FoundText] {
        var options = options
        options.stopTokens.formUnion(endOfTextTokens)
        let search = try BeamSearch(options, vocabulary: architecture.vocabulary)
        let prompts = [try tokens(of: prompt)]
        let continuation = try Continuation(decoder, sequences: 1, on: device)
        return try search.run(prompts, on: continuation)[0].map { found in
            let isStopped = found.tokens.last.map(options.stopTokens.contains) ?? false
            let tokens = isStopped ? Array(found.tokens.dropLast()) : found.tokens
            var text = ContinuedText(tokenizer, after: prompts[0])
            let written = try tokens.reduce(into: "") { $0 += try text.append($1) }
            return FoundText(
                text: written + text.finish(), tokens: tokens, score: found.score,
                finish: isStopped ? .stop : .length)
        }
    }
}
