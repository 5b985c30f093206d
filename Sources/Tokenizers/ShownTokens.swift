/// The texts that the reference shows for tokens whose spelling the vocabulary does not tell: Unigram's unknown ones,
/// as the stages before the model made their text.
struct ShownTokens {
    private struct Place: Hashable {
        let sequence: Int32
        let start: Int
        let end: Int
    }

    private var unknown: [Place: [UInt8]] = [:]

    /// Remembers the unknown tokens of one word.
    mutating func note(
        _ output: TokenOutput, of staged: StagedText, _ piece: Piece, sequence: Int32, unknown id: Int32?
    ) {
        guard let id else { return }
        for (token, span) in zip(output.ids, output.spans) where token == id {
            let range = Int(piece.start + span.start)..<Int(piece.start + span.end)
            let origin = staged.origin(of: range)
            unknown[Place(sequence: sequence, start: Int(origin.start), end: Int(origin.end))] = Array(
                staged.bytes[range])
        }
    }

    func unknown(in sequence: Int32, _ stretch: ArraySlice<UInt8>) -> [UInt8]? {
        unknown[Place(sequence: sequence, start: stretch.startIndex, end: stretch.endIndex)]
    }
}

extension TokenModel {
    /// The unknown token, where the reference shows the text that it stands for.
    var shownUnknown: Int32? { (self as? UnigramModel)?.unknown }
}

extension Tokenizer {
    /// The token as the reference shows it in an encoding: an added token as it was found, with the blanks it took, and
    /// Unigram's unknown one as the text that it stands for; others as the vocabulary spells them.
    func spelling(
        ofToken id: Int32, shownIn sequence: Int32, for stretch: ArraySlice<UInt8>, _ shown: ShownTokens
    ) -> [UInt8] {
        if id == model.shownUnknown, let text = shown.unknown(in: sequence, stretch) { return text }
        guard let token = added.token(id) else { return spelling(ofToken: id) ?? [] }
        return takesBlanks(token, stretch) ? Array(stretch) : spelling(ofToken: id) ?? []
    }

    /// Returns whether a stretch of text is an added token with blanks at its ends.
    private func takesBlanks(_ token: AddedToken, _ stretch: ArraySlice<UInt8>) -> Bool {
        var found: [Piece] = []
        LiteralPattern(content: token.content).matches(in: stretch.span, into: &found)
        if !found.isEmpty { return stretch.count > token.content.count }
        guard token.isNormalized, let spelling = added.spelling(token.id) else { return false }
        let text = stretch.trimmingSpace()
        guard text.count < stretch.count else { return false }
        var core = StagedText(content: text)
        normalizer?.normalize(&core)
        return core.bytes == spelling
    }
}
