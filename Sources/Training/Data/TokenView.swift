/// A stretch of a cache's tokens, as documents: those at its ends are cut where it ends.
package struct TokenView: Sendable {
    /// The sides of each document; lengths and cuts are those of the first.
    package let sides: [TokenCache]
    /// The first document, and how many there are.
    private let first: Int
    package let documents: Int
    private let tokens: Range<Int>

    package init(_ sides: [TokenCache]) {
        precondition(!sides.isEmpty && sides.allSatisfy { $0.documents == sides[0].documents }, "TokenView: no sides")
        self.sides = sides
        (first, documents, tokens) = (0, sides[0].documents, 0..<sides[0].count)
    }

    private init(_ sides: [TokenCache], _ tokens: Range<Int>, first: Int, documents: Int) {
        (self.sides, self.tokens, self.first, self.documents) = (sides, tokens, first, documents)
    }

    /// The tokens of the first side.
    package var count: Int { tokens.count }

    /// The first ⌊(1 − share) · count⌋ tokens, and the rest. Documents with several sides are not cut: the one in which
    /// the cut falls belongs to the rest.
    package func split(last share: Double) -> (TokenView, TokenView) {
        let cache = sides[0]
        var cut = tokens.lowerBound + Int((1 - share) * Double(tokens.count))
        let document = TokenView.document(of: cut, cache)
        let start = cache.start(of: document)
        if sides.count > 1 { cut = start }
        let whole = cut == start
        let before = (document - first) + (whole ? 0 : 1)
        return (
            TokenView(sides, tokens.lowerBound..<cut, first: first, documents: before),
            TokenView(sides, cut..<tokens.upperBound, first: document, documents: documents - (document - first))
        )
    }

    /// The document that holds the token at `place`, the last one for the end.
    private static func document(of place: Int, _ cache: TokenCache) -> Int {
        var (low, high) = (0, cache.documents)
        while high - low > 1 {
            let middle = (low + high) / 2
            if cache.start(of: middle) <= place { low = middle } else { high = middle }
        }
        return low
    }

    private func range(_ document: Int, side: Int) -> Range<Int> {
        precondition(document >= 0 && document < documents, "TokenView: document \(document) of \(documents)")
        let cache = sides[side]
        let range = cache.start(of: first + document)..<cache.start(of: first + document + 1)
        return side == 0 ? range.clamped(to: tokens) : range
    }

    package func length(of document: Int) -> Int { range(document, side: 0).count }

    /// Tokens of a document, counted from its first.
    package func tokens(of document: Int, side: Int = 0, _ part: Range<Int>) -> [Int32] {
        let range = range(document, side: side)
        return sides[side][
            (range.lowerBound + part.lowerBound)..<min(range.lowerBound + part.upperBound, range.upperBound)]
    }

    /// All tokens of a side of a document, at most `limit`.
    package func tokens(of document: Int, side: Int, limit: Int) -> [Int32] {
        let range = range(document, side: side)
        return sides[side][range.lowerBound..<min(range.upperBound, range.lowerBound + limit)]
    }
}
