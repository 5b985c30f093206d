/// The first stage: text to the form that the vocabulary was learnt on.
protocol Normalizer: Sendable {
    /// Rewrites `text`, which is one word yet.
    func normalize(_ text: inout StagedText)
}
