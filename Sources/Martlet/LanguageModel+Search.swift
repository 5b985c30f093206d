public import MartletGeneration
import MartletLayers
import MartletServing
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
    /// end them. Beams are rows of common steps with whatever else the model writes; cancelling the task ends the
    /// search.
    ///
    /// - Throws: ``GenerationError`` naming everything that is wrong with the request.
    public func search(
        _ prompt: String, _ options: BeamSearch.Options
    ) async throws(GenerationError) -> [FoundText] {
        var options = options
        options.stopTokens.formUnion(endOfTextTokens)
        do {
            let prompt = try tokens(of: prompt)
            let found = try await engine.search(SearchRequest(prompts: [prompt], options))
            return try found[0].map { try text($0, after: prompt, options.stopTokens) }
        } catch let error as EngineError {
            throw GenerationError(refusing: error)
        } catch is CancellationError {
            throw GenerationError.cancelled
        } catch {
            throw GenerationError(wrapping: error)
        }
    }

    /// A continuation of `prompt` as text, without its stop token.
    private func text(
        _ found: BeamSearch.Hypothesis, after prompt: [Int32], _ stopTokens: Set<Int32>
    ) throws(TokenizerError) -> FoundText {
        let isStopped = found.tokens.last.map(stopTokens.contains) ?? false
        let tokens = isStopped ? Array(found.tokens.dropLast()) : found.tokens
        var text = ContinuedText(tokenizer, after: prompt)
        var written = ""
        for token in tokens { written += try text.append(token) }
        return FoundText(
            text: written + text.finish(), tokens: tokens, score: found.score, finish: isStopped ? .stop : .length)
    }
}
