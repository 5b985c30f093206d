package import MartletTensors

/// The objective of learning from a piece of text: which tokens a model reads and which it must predict.
///
/// Knows no model, no loss and no file. Randomness comes from the generator handed in, one per piece, so that a piece
/// becomes the same example whenever and wherever it is made.
package protocol Objective: Sendable {
    /// The name of the objective in a recipe.
    static var name: String { get }

    /// Sides of a document: 2 for translations.
    var sides: Int { get }

    /// True where a document is one piece, never cut into several.
    var takesWholeDocuments: Bool { get }

    /// The number of tokens that an example needs beyond the piece.
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

/// A training example, what a model reads and must predict: tokens, or the label of one or several texts.
package struct Example: Sendable, Hashable {
    /// A row that predicts nothing.
    package static let ignored: Int32 = -1

    /// The tokens that are read by the decoder, or by the encoder of the models that have one.
    package var tokens: [Int32]
    /// The segment of each token, the text of a pair that it belongs to; the first one when nil.
    package var segments: [Int32]?
    /// Further texts, read as sequences of their own: what the first one is compared with.
    package var others: [[Int32]] = []
    /// The tokens that are read by the decoder of an encoder-decoder.
    package var decoderTokens: [Int32]?
    /// The targets, one per row that makes logits (`decoderTokens` where there are such): the token or tag to predict,
    /// or ``ignored``. None where the example has a label instead.
    package var targets: [Int32] = []
    /// The label of the example as a whole.
    package var label: Label?
    /// The teacher's logits of the text's classes.
    package var teacher: [Float] = []

    package init(tokens: [Int32], segments: [Int32]? = nil, decoderTokens: [Int32]? = nil, targets: [Int32]) {
        precondition(
            targets.count == (decoderTokens ?? tokens).count,
            "Example: \(targets.count) targets for \((decoderTokens ?? tokens).count) rows")
        (self.tokens, self.segments, self.decoderTokens) = (tokens, segments, decoderTokens)
        self.targets = targets
    }

    package init(tokens: [Int32], segments: [Int32]? = nil, others: [[Int32]] = [], label: Label) {
        (self.tokens, self.segments, self.others, self.label) = (tokens, segments, others, label)
    }

    /// Two texts of which the first is preferred, each with the tokens to be predicted.
    package init(preferred better: Example, over worse: Example, number: Int) {
        (tokens, others) = (better.tokens, [worse.tokens])
        (targets, label) = (better.targets + worse.targets, .preference(number))
    }

    /// The number of rows on the reading side.
    package var rows: Int { others.reduce(tokens.count) { $0 + $1.count } }
}

/// The label of a whole example.
package enum Label: Sendable, Hashable {
    /// A class, by its number.
    case category(Int32)
    /// A number, a score of similarity, or for each class 1 or 0.
    case numbers([Float])
    /// The rows where an answer lies, counted from the example's first; the first row alone where there is none.
    case span(ClosedRange<Int>)
    /// The texts belong together.
    case match
    /// The first text is preferred to the second; the example's number.
    case preference(Int)
}
