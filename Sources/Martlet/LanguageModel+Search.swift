public import MartletGeneration
import MartletLayers
import MartletTokenizers

/// A continuation that a search found.
public struct FoundText: Sendable, Hashable {
    public let text: String
    public let tokens: [Int32]
    /// The sum of log-probabilities, divided by length to the power of the length penalty.
    public let score: Float
    public let finish: FinishReason
}

extension LanguageModel {
    /// The most probable continuations of `prompt` that a beam search finds, best first; the model's end-of-text tokens end them.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request, ``TokenizerError``.
    public func search(_ prompt: String, _ options: BeamSearch.Options) async throws -> [FoundText] {
        try await Task(executorPreference: ComputeThread()) {
            var options = options
            options.stopTokens.formUnion(self.endOfTextTokens)
            let search = try BeamSearch(options, vocabulary: self.architecture.vocabulary)
            let prompts = [try self.tokens(of: prompt)]
            let continuation = try Continuation(self.decoder, sequences: 1, on: self.device)
            return try search.run(prompts, on: continuation)[0].map { found in
                let isStopped = found.tokens.last.map(options.stopTokens.contains) ?? false
                let tokens = isStopped ? Array(found.tokens.dropLast()) : found.tokens
                return FoundText(
                    text: try self.tokenizer.decode(tokens), tokens: tokens, score: found.score,
                    finish: isStopped ? .stop : .length)
            }
        }.value
    }
}
