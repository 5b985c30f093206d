/// The second stage: text to words, which the model then sees one at a time.
protocol PreTokenizer: Sendable {
    /// Replaces each word of `text` by its parts, and may rewrite the text.
    func preTokenize(_ text: inout StagedText)
}

extension PreTokenizer {
    /// True where naming every byte is the last thing done, so that a model may take the bytes themselves instead.
    var endsInByteNames: Bool {
        switch self {
        case is ByteLevelPreTokenizer: true
        case let sequence as PreTokenizerSequence:
            sequence.parts.last?.endsInByteNames ?? false
                && !sequence.parts.dropLast().contains { $0.endsInByteNames }
        default: false
        }
    }

    /// This pre-tokenizer, handing on bytes in place of their names.
    func withoutByteNames() -> any PreTokenizer {
        switch self {
        case var byteLevel as ByteLevelPreTokenizer:
            byteLevel.namesBytes = false
            return byteLevel
        case let sequence as PreTokenizerSequence:
            return PreTokenizerSequence(
                parts: sequence.parts.dropLast() + sequence.parts.suffix(1).map { $0.withoutByteNames() })
        default: return self
        }
    }
}
