/// Any other regular expression, run by an engine of our own on Unicode scalars, in time that grows linearly with the
/// text.
struct GeneralPattern: Pattern {
    /// The longest expression that is read.
    private static let maximumBytes = 10_000

    private let program: ExpressionProgram

    init(_ spelling: String) throws(TokenizerError) {
        guard spelling.utf8.count <= GeneralPattern.maximumBytes else {
            throw .unsupported(
                source: "regular expression", feature: "an expression of \(spelling.utf8.count) bytes",
                remedy: "the limit is \(GeneralPattern.maximumBytes)")
        }
        do throws(ExpressionParser.Failure) {
            program = try ExpressionProgram(ExpressionParser.parse(spelling))
        } catch {
            throw .unsupported(
                source: "regular expression", feature: "the expression \(spelling)",
                remedy: "it has \(error.reason); rewrite it without")
        }
    }

    func matches(in text: Span<UInt8>, into found: inout [Piece]) {
        var matcher = ExpressionMatcher(program, text)
        var (start, last) = (0, -1)
        while start <= text.count {
            guard let end = matcher.end(in: text, from: start) else {
                start += start < text.count ? text.scalar(at: start).length : 1
                continue
            }
            // The reference's engine finds nothing empty right behind a match.
            if end > start || end != last { found.append(Piece(start, end)) }
            last = end
            start = end > start ? end : start + (start < text.count ? text.scalar(at: start).length : 1)
        }
    }
}
