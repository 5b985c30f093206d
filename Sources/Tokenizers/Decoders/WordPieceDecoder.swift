/// A space before each token but the first, or the continuation prefix off it; perhaps English punctuation drawn to its
/// word.
struct WordPieceDecoder: Decoder {
    let prefix: [UInt8]
    let cleansUp: Bool

    func bytes(of token: [UInt8]) -> [UInt8] { bytes(of: token, isFirst: false) }

    private func bytes(of token: [UInt8], isFirst: Bool) -> [UInt8] {
        var result = token
        if !isFirst {
            result = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [UInt8(ascii: " ")] + token
        }
        return cleansUp ? WordPieceDecoder.cleanUp(result) : result
    }

    private static let cleanings: [(LiteralPattern, [UInt8])] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (LiteralPattern(content: Array($0.utf8)), Array($1.utf8)) }

    /// The replacements of the reference, one after the other.
    static func cleanUp(_ text: [UInt8]) -> [UInt8] {
        var text = text
        for (pattern, content) in cleanings {
            var found: [Piece] = []
            pattern.matches(in: text.span, into: &found)
            for match in found.reversed() { text.replaceSubrange(match.range, with: content) }
        }
        return text
    }

    func makeStage(isFused: Bool) -> any DecoderStage {
        let decoder = self
        return WholeTokenStage(isFused: isFused) { decoder.bytes(of: $0, isFirst: $1) }
    }
}
