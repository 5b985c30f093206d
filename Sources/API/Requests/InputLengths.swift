import MartletLayers
import MartletTasks
import MartletTokenizers

extension ServedModel {
    /// Refuses inputs that are longer than the model reads, unless they may be cut.
    ///
    /// - Parameters:
    ///   - inputs: texts, or pairs of them.
    ///   - parameter: the field that holds them.
    ///   - ranks: whether the pairs are queries and documents, which a model may read in a template.
    /// - Throws: ``APIError`` with both numbers; what tokenizing throws.
    func checkLengths(
        _ inputs: [(text: String, pair: String?)], _ parameter: String, mayBeCut: Bool, ranks: Bool = false
    ) throws {
        guard !mayBeCut, let tokenizer, let limit = inputLimit else { return }
        for (index, input) in inputs.enumerated() {
            let count =
                if case .classes(let classifier) = work, let ranker = classifier.ranker, ranks {
                    try ranker.length(input.text, input.pair ?? "")
                } else if input.pair == nil, let embedder {
                    try embedder.length(of: input.text)
                } else {
                    try tokenizer.encoding(of: input.text, pair: input.pair).count
                }
            guard count > limit else { continue }
            let name = inputs.count > 1 ? "\(parameter)[\(index)]" : parameter
            throw APIError.invalid(
                "\(name) has \(count) tokens, but the model reads \(limit); shorten it by \(count - limit), or allow "
                    + "with truncate that it be cut.", name, code: "context_length_exceeded")
        }
    }

    /// The most tokens that are read of an input; nil for any number.
    private var inputLimit: Int? {
        if case .vectors = work { return embedder?.limit }
        if case .text = work { return embedder?.limit }
        return architecture.context
    }
}
