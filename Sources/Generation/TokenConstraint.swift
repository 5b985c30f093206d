/// Constrained decoding: says of each step which tokens may come. A value for each sequence, which is told of every
/// token.
package protocol TokenConstraint: Sendable {
    /// The tokens that may come next, stop tokens where the text may end; nil lets all.
    ///
    /// - Throws: why none can be named, within the constraint's bounds; the generation then fails.
    mutating func allowed() throws -> TokenMask?

    /// Takes note of a token that has come.
    mutating func append(_ token: Int32)

    /// True where nothing can follow: the generation ends here.
    var isFinished: Bool { get }

    /// Tokens of which no others could come, which therefore need no logits; none where there is a choice.
    mutating func forcedTokens() throws -> [Int32]
}

extension TokenConstraint {
    package mutating func forcedTokens() -> [Int32] { [] }
}
