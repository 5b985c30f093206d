/// The scalars for which `matches` holds, each a match of its own.
struct ScalarPattern: Pattern {
    let matches: @Sendable (UInt32) -> Bool

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var index = 0
        while index < text.count {
            let scalar = text.scalar(at: index)
            if matches(scalar.value) { found.append(Piece(index, index + scalar.length)) }
            index += scalar.length
        }
    }
}

/// A split at single scalars: the pre-tokenizers that need no more than a property of each.
struct ScalarSplit: PreTokenizer {
    /// The kind of scalars that a text is split at.
    enum Kind: Sendable, Equatable {
        case whitespaceSplit
        case digits(individual: Bool)
        case punctuation(MatchBehavior)
        case delimiter(UInt32)
    }

    let kind: Kind
    private let pattern: ScalarPattern
    private let behavior: MatchBehavior

    init(_ kind: Kind) {
        self.kind = kind
        switch kind {
        case .whitespaceSplit:
            (pattern, behavior) = (ScalarPattern { ScalarProperties($0).isSpace }, .removed)
        case .digits(let individual):
            (pattern, behavior) = (
                ScalarPattern { ScalarProperties($0).isNumericInRust }, individual ? .isolated : .contiguous
            )
        case .punctuation(let behavior):
            (pattern, self.behavior) = (ScalarPattern { ScalarProperties($0).isPunctuation }, behavior)
        case .delimiter(let delimiter):
            (pattern, behavior) = (ScalarPattern { $0 == delimiter }, .removed)
        }
    }

    func preTokenize(_ text: inout StagedText) {
        text.resplit { bytes, piece, words in pattern.split(bytes, piece, behavior, inverted: false, into: &words) }
    }
}
