/// A pattern as a file spells it, with what finds it.
struct FilePattern: Sendable {
    /// The spelling of a pattern.
    enum Spelling: Sendable {
        case literal([UInt8])
        case regex(String)
    }

    let spelling: Spelling
    let matcher: any Pattern

    /// Fixed text.
    init(literal: [UInt8]) {
        spelling = .literal(literal)
        matcher = LiteralPattern(content: literal)
    }

    /// A regular expression: one that is known by heart, a class that repeats, fixed texts, or any other by the general
    /// engine.
    ///
    /// - Throws: ``TokenizerError/unsupported(source:feature:remedy:)`` for one that no engine here can run.
    init(regex: String) throws(TokenizerError) {
        spelling = .regex(regex)
        if let known = KnownPatterns.pattern(regex) {
            matcher = known
        } else if let simple = ClassPattern(regex) {
            matcher = simple
        } else if let literals = LiteralAlternation(regex) {
            matcher = literals
        } else {
            matcher = try GeneralPattern(regex)
        }
    }
}
