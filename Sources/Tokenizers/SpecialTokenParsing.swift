/// The rule for spellings of added tokens in a text: which of them count as these tokens; the others are plain text.
package enum SpecialTokenParsing: Sendable {
    /// All spellings of added tokens count.
    case all
    /// No spelling of a special token counts.
    case none
    /// All spellings count but those that reach into these stretches, UTF-8 offsets in ascending order: what somebody
    /// else wrote there forges no token.
    case outside([Range<Int>])

    /// True where it must be known where in the text a token is spelled.
    var needsOrigins: Bool { if case .outside = self { true } else { false } }

    /// Returns whether `token`, spelled at `range` of the text, counts.
    func takes(_ token: AddedToken, _ range: Range<Int>) -> Bool {
        switch self {
        case .all: return true
        case .none: return !token.isSpecial
        case .outside(let stretches):
            // The first stretch that ends behind the token's beginning.
            var (low, high) = (0, stretches.count)
            while low < high {
                let middle = (low + high) / 2
                if stretches[middle].upperBound <= range.lowerBound { low = middle + 1 } else { high = middle }
            }
            return low == stretches.count || stretches[low].lowerBound >= range.upperBound
        }
    }
}

extension Tokenizer {
    /// The ids of a text of which some stretches are plain text, whatever they spell.
    ///
    /// - Throws: as ``encode(_:addSpecialTokens:parseSpecialTokens:)``.
    package func encode(
        _ text: String, addSpecialTokens: Bool, parsing: SpecialTokenParsing
    ) throws(TokenizerError) -> [Int32] {
        var ids: [Int32] = []
        try encode(text.utf8Span.span, addSpecialTokens: addSpecialTokens, parsing: parsing, into: &ids)
        return ids
    }
}
