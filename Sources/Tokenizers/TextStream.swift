/// A detokenizer for ids that come one by one: append-only, never part of a character, and in the end exactly
/// ``Tokenizer/decode(_:skipSpecialTokens:)`` of all ids.
///
/// Text goes out as soon as it is certain. Where a decoder looks ahead (a run of byte tokens whose validity is judged
/// as a whole, a suffix that differs in the last token), it goes out when the next tokens have decided.
public struct TextStream: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    private var stage: (any DecoderStage)?
    private var repairer = UTF8Repairer()
    private var isFirst = true

    /// A stream at the beginning of a text.
    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skipSpecialTokens
        stage = tokenizer.decoder?.makeStage(isFused: false)
    }

    /// The text that `id` adds; often empty for a token that ends within a character, and for an id beyond the
    /// vocabulary: a model's table may be longer than that.
    ///
    /// - Throws: ``TokenizerError/idOutOfRange(_:vocabularySize:)`` for a negative id; the stream goes on without it.
    public mutating func append(_ id: Int32) throws(TokenizerError) -> String {
        String(decoding: try bytes(appending: id), as: UTF8.self)
    }

    /// Returns the text that is left at the end; a character that was never completed becomes U+FFFD.
    public mutating func finish() -> String { String(decoding: finishBytes(), as: UTF8.self) }

    mutating func bytes(appending id: Int32) throws(TokenizerError) -> [UInt8] {
        guard let token = tokenizer.spelling(ofToken: id) else {
            if id < 0 { throw .idOutOfRange(id, vocabularySize: tokenizer.vocabularySize) }
            return []
        }
        if skipsSpecialTokens && tokenizer.isSkipped(id) { return [] }
        guard stage != nil else {
            // Without a decoder the tokens are words.
            defer { isFirst = false }
            return repairer.push(isFirst ? token : [UInt8(ascii: " ")] + token)
        }
        var output: [TokenFragment] = []
        stage?.push(TokenFragment(bytes: token, beginsToken: true), to: &output)
        return output.reduce(into: []) { $0 += repairer.push($1.bytes) }
    }

    mutating func finishBytes() -> [UInt8] {
        var output: [TokenFragment] = []
        stage?.finish(to: &output)
        let text = output.reduce(into: [UInt8]()) { $0 += repairer.push($1.bytes) }
        return text + repairer.finish()
    }
}
