/// The tokens of a text as a model appends them: ids, and where each token ends in the bytes of its word.
struct TokenOutput {
    var ids: [Int32] = []
    /// The range of each token in the bytes of its word.
    var spans: [Piece] = []

    @inline(__always)
    mutating func append(_ id: Int32, _ start: Int, _ end: Int) {
        ids.append(id)
        spans.append(Piece(start, end))
    }

    mutating func removeAll() {
        ids.removeAll(keepingCapacity: true)
        spans.removeAll(keepingCapacity: true)
    }
}

/// The third stage: a word to tokens.
protocol TokenModel: Sendable {
    /// The tokens as the file spells them.
    var vocabulary: Vocabulary { get }

    /// The places where a text that spaces do not cut may be cut all the same; nil: nowhere.
    var joints: PieceJoints? { get }

    /// True where tokens inside a word are spelled with a prefix (##ing), so that words can be told from tokens.
    var marksContinuations: Bool { get }

    /// Appends the tokens of `word`, which is not empty.
    ///
    /// - Throws: ``TokenizerError/unknownText(_:remedy:)`` where the vocabulary cannot spell the word and has no
    ///   unknown token.
    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError)
}

extension TokenModel {
    var joints: PieceJoints? { nil }
    var marksContinuations: Bool { false }
}

/// Memory that models reuse from word to word; one per thread at a time.
struct ModelWorkspace {
    var merger = PairMerger()
    var lattice = UnigramLattice()
    /// The random draws for subword regularisation, when the caller asked for it.
    var sampling: SubwordSampling?
}
