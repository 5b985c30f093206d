package import MartletTensors

/// What a model is asked to learn from a piece of text: which tokens it reads and which it must predict.
///
/// Knows no model, no loss and no file. Randomness comes from the generator handed in, one per piece, so that a piece becomes the same
/// example whenever and wherever it is made.
package protocol Objective: Sendable {
    /// How a recipe calls it.
    static var name: String { get }

    /// Sides of a document: 2 for translations.
    var sides: Int { get }

    /// Whether a document is one piece, never cut into several.
    var takesWholeDocuments: Bool { get }

    /// Tokens that an example needs beyond the piece.
    var overlap: Int { get }

    /// The longest piece whose example has at most `rows` rows.
    func pieceLength(rows: Int) -> Int

    /// The example of a piece; nil when nothing can be learnt from it.
    ///
    /// - Parameter sides: the tokens of each side, the first being the piece.
    func example(_ sides: [[Int32]], _ random: inout Random) -> Example?
}

extension Objective {
    package var sides: Int { 1 }
    package var takesWholeDocuments: Bool { false }
    package var overlap: Int { 0 }
    package func pieceLength(rows: Int) -> Int { rows }
}

/// What a model reads and must predict.
package struct Example: Sendable, Hashable {
    /// A row that predicts nothing.
    package static let ignored: Int32 = -1

    /// Read by the decoder, or by the encoder of the models that have one.
    package var tokens: [Int32]
    /// Read by the decoder of an encoder-decoder.
    package var decoderTokens: [Int32]?
    /// One per row that makes logits (`decoderTokens` where there are such): the token to predict, or ``ignored``.
    package var targets: [Int32]

    package init(tokens: [Int32], decoderTokens: [Int32]? = nil, targets: [Int32]) {
        precondition(
            targets.count == (decoderTokens ?? tokens).count,
            "Example: \(targets.count) targets for \((decoderTokens ?? tokens).count) rows")
        (self.tokens, self.decoderTokens, self.targets) = (tokens, decoderTokens, targets)
    }
}

/// The objectives that recipes can name.
package enum Objectives {
    package static let names = [
        CausalLanguageModelling.name, SequenceToSequence.name, MaskedLanguageModelling.name, SpanCorruption.name,
    ]
}

extension Random {
    /// A whole number below `limit`.
    package mutating func below(_ limit: Int) -> Int {
        precondition(limit > 0, "Random: a number below \(limit)")
        return min(limit - 1, Int(uniform() * Double(limit)))
    }
}
