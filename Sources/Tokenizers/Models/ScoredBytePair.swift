/// SentencePiece's BPE: two neighbours merge when they make a piece, the best score first, leftmost among equals.
enum ScoredBytePair {
    /// Turns the scores into ranks and every way to cut a piece in two into a merge.
    ///
    /// A scalar that is no piece of its own but part of one gets a number beyond the vocabulary, so that it can still
    /// merge; what is left of it is spelled in bytes in the end.
    static func build(
        tokens: [[UInt8]], scores: [Float], isPiece: (Int) -> Bool, unknown: Int32, fallsBackToBytes: Bool,
        userDefined: ByteTrie? = nil
    ) -> ScoredBytePairModel {
        let pieces = Vocabulary(tokens.indices.map { isPiece($0) ? tokens[$0] : nil })
        // Equal scores share a rank, for the place in the text then decides.
        let order = Set(tokens.indices.filter(isPiece).map { scores[$0] }.filter { !$0.isNaN }).sorted(by: >)
        let ranks = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, UInt32($0)) })

        var strays: [[UInt8]: Int32] = [:]
        func symbol(_ bytes: Span<UInt8>) -> Int32? {
            let id = pieces.find(bytes)
            if id >= 0 { return id }
            guard bytes.count <= 4, bytes.scalar(at: 0).length == bytes.count else { return nil }
            let key = (0..<bytes.count).map { bytes[$0] }
            if let stray = strays[key] { return stray }
            let stray = Int32(tokens.count + strays.count)
            strays[key] = stray
            return stray
        }
        var entries: [(left: Int32, right: Int32, merge: MergeTable.Merge)] = []
        for id in tokens.indices where isPiece(id) {
            let token = tokens[id]
            let piece = token.span
            guard let rank = ranks[scores[id]], pieces.find(piece) == Int32(id) else { continue }
            var cut = 0
            while cut < piece.count {
                cut += piece.scalar(at: cut).length
                guard cut < piece.count, let left = symbol(piece.extracting(0..<cut)),
                    let right = symbol(piece.extracting(cut..<piece.count))
                else { continue }
                entries.append((left, right, MergeTable.Merge(rank: rank, id: Int32(id))))
            }
        }
        let vocabulary = Vocabulary(tokens.map { $0 })
        return ScoredBytePairModel(
            vocabulary: vocabulary, pieces: pieces, merges: MergeTable(entries), strays: strays, unknown: unknown,
            byteTokens: fallsBackToBytes ? ByteTokens.ids(in: vocabulary) : nil, userDefined: userDefined)
    }
}

/// The model that ``ScoredBytePair`` builds.
struct ScoredBytePairModel: TokenModel {
    let vocabulary: Vocabulary
    let pieces: Vocabulary
    let merges: MergeTable
    /// Scalars that are no pieces but parts of some, with numbers beyond the vocabulary.
    let strays: [[UInt8]: Int32]
    let unknown: Int32
    /// The ids of `<0x00>`…`<0xFF>`, -1 for a missing one.
    let byteTokens: [Int32]?
    let joints: PieceJoints?

    /// Pieces given by the user, which merge with nothing.
    private let userDefined: ByteTrie?

    private static let noSymbol: Int32 = .max
    /// The flag in the id of a piece of the user's, by which it is in no merge.
    private static let frozen: Int32 = 1 << 30
    /// The symbol of each ASCII scalar.
    private let ascii: FrozenArray<Int32>

    init(
        vocabulary: Vocabulary, pieces: Vocabulary, merges: MergeTable, strays: [[UInt8]: Int32], unknown: Int32,
        byteTokens: [Int32]?, userDefined: ByteTrie?
    ) {
        self.vocabulary = vocabulary
        self.pieces = pieces
        self.merges = merges
        self.strays = strays
        self.unknown = unknown
        self.byteTokens = byteTokens
        self.userDefined = userDefined
        joints = PieceJoints(pieces.tokens.compactMap { $0 }, isToken: { pieces.id(of: $0) != nil })
        ascii = FrozenArray((0..<128).map { ScoredBytePairModel.symbol([$0].span, pieces, strays) })
    }

    private static func symbol(_ scalar: Span<UInt8>, _ pieces: Vocabulary, _ strays: [[UInt8]: Int32]) -> Int32 {
        let id = pieces.find(scalar)
        guard id < 0, !strays.isEmpty else { return id < 0 ? noSymbol : id }
        return strays[(0..<scalar.count).map { scalar[$0] }] ?? noSymbol
    }

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        workspace.merger.reset()
        var index = 0
        while index < word.count {
            if let end = userDefined?.longest(word, from: index) {
                let id = pieces.find(word.extracting(index..<end))
                workspace.merger.append(
                    id < 0 ? ScoredBytePairModel.noSymbol : id | ScoredBytePairModel.frozen, end: end)
                index = end
                continue
            }
            let length = word.scalar(at: index).length
            let id =
                length == 1 && word[index] < 0x80
                ? ascii[Int(word[index])]
                : ScoredBytePairModel.symbol(word.extracting(index..<(index + length)), pieces, strays)
            index += length
            workspace.merger.append(id, end: index)
        }
        if var sampling = workspace.sampling {
            workspace.merger.run(merges, dropping: &sampling)
            workspace.sampling = sampling
        } else {
            workspace.merger.run(merges)
        }
        var start = 0
        for (id, wordEnd) in zip(workspace.merger.ids, workspace.merger.ends) {
            let end = Int(wordEnd)
            if Int(id) < vocabulary.count {
                output.append(id, start, end)
            } else if id != ScoredBytePairModel.noSymbol, id & ScoredBytePairModel.frozen != 0 {
                output.append(id & ~ScoredBytePairModel.frozen, start, end)
            } else {
                output.appendUnknown(word, start..<end, unknown, byteTokens)
            }
            start = end
        }
    }
}
