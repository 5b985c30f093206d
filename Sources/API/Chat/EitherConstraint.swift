import MartletGeneration

/// Keeps a text to one of several forms: which one shows while it is written.
struct EitherConstraint: TokenConstraint {
    /// The forms that the text may still have.
    private var parts: [any TokenConstraint]

    init(_ parts: [any TokenConstraint]) { self.parts = parts }

    mutating func allowed() throws -> TokenMask? {
        var union: TokenMask?
        for index in parts.indices {
            guard let mask = try parts[index].allowed() else { return nil }
            union =
                union.map { known in
                    TokenMask(words: zip(known.words, mask.words).map { $0 | $1 }, vocabulary: known.vocabulary)
                } ?? mask
        }
        return union
    }

    mutating func append(_ token: Int32) {
        if parts.count > 1 {
            parts = parts.filter { part in
                var part = part
                return (try? part.allowed()).map { $0?[token] ?? true } ?? false
            }
        }
        for index in parts.indices { parts[index].append(token) }
    }

    var isFinished: Bool { parts.allSatisfy(\.isFinished) }

    mutating func forcedTokens() throws -> [Int32] { parts.count == 1 ? try parts[0].forcedTokens() : [] }
}
