/// Post-processors one after the other.
struct PostProcessorSequence: PostProcessor {
    let parts: [any PostProcessor]

    func addedTokens(isPair: Bool) -> Int { parts.reduce(0) { $0 + $1.addedTokens(isPair: isPair) } }

    func process(_ encodings: [Encoding], addingSpecialTokens: Bool, _ context: PostProcessorContext) -> [Encoding] {
        parts.reduce(encodings) { $1.process($0, addingSpecialTokens: addingSpecialTokens, context) }
    }
}
