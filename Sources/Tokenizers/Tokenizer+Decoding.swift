extension Tokenizer {
    /// The text of `ids`; those beyond the vocabulary add nothing.
    ///
    /// - Parameter skipSpecialTokens: Leaves out special tokens.
    /// - Throws: ``TokenizerError/idOutOfRange(_:vocabularySize:)`` for a negative id.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = true) throws(TokenizerError) -> String {
        var stream = TextStream(self, skipSpecialTokens: skipSpecialTokens)
        var text: [UInt8] = []
        for id in ids { text += try stream.bytes(appending: id) }
        text += stream.finishBytes()
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that a token adds to a text where it is not the first token; they need not be whole scalars. Nil for
    /// an id that is no token's.
    public func bytes(ofToken id: Int32) -> [UInt8]? {
        guard let token = spelling(ofToken: id) else { return nil }
        if added.token(id) != nil { return token }
        return decoder?.bytes(of: token) ?? token
    }

    /// The token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`). Nil for an id that is no token's.
    public func token(_ id: Int32) -> String? {
        spelling(ofToken: id).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of the token that is spelled so in the vocabulary or among the added tokens.
    public func id(ofToken token: String) -> Int32? {
        let bytes = Array(token.utf8)
        return added.id(of: bytes) ?? model.vocabulary.id(of: bytes)
    }

    /// Returns whether an id is that of a special token.
    public func isSpecial(_ id: Int32) -> Bool { added.token(id)?.isSpecial ?? false }

    /// Returns whether decoding without special tokens leaves an id out: when it is spelled as a special token is. (One
    /// whose text the normalizer changes is not, as in the reference.)
    func isSkipped(_ id: Int32) -> Bool { skipped.contains(id) }

    func spelling(ofToken id: Int32) -> [UInt8]? {
        if let token = added.spelling(id) { return token }
        return model.vocabulary.contains(Int(id)) ? model.vocabulary.token(Int(id)) : nil
    }
}
