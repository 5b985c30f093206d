/// A detokenizer for a text that goes on within a text: decoders that treat the beginning of a text in another way,
/// as SentencePiece's drop its first blank, have seen the prompt.
package struct ContinuedText: Sendable {
    private var stream: TextStream
    /// The end of the prompt's text that the stream still holds back as undecided.
    private var left: [Unicode.Scalar]

    /// - Parameter prompt: the tokens before the text; none where it is a text of its own.
    package init(_ tokenizer: Tokenizer, after prompt: [Int32] = []) {
        stream = TextStream(tokenizer)
        for id in prompt { _ = try? stream.append(id) }
        var end = stream
        left = prompt.isEmpty ? [] : Array(end.finish().unicodeScalars)
    }

    /// The text that `id` adds to the text.
    ///
    /// - Throws: ``TokenizerError`` for a negative id.
    package mutating func append(_ id: Int32) throws(TokenizerError) -> String { own(try stream.append(id)) }

    /// The rest of the text at the end.
    package mutating func finish() -> String { own(stream.finish()) }

    /// Without what belongs to the prompt.
    private mutating func own(_ text: String) -> String {
        guard !left.isEmpty, !text.isEmpty else { return text }
        let scalars = Array(text.unicodeScalars)
        let common = zip(scalars, left).prefix { $0 == $1 }.count
        left = common == scalars.count ? Array(left.dropFirst(common)) : []
        var rest = String.UnicodeScalarView()
        rest.append(contentsOf: scalars.dropFirst(common))
        return String(rest)
    }
}
