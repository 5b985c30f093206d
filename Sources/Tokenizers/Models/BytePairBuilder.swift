/// A builder that puts a ``BytePairModel`` together from what files hold.
enum BytePairBuilder {
    /// The settings of Hugging Face's `BPE`.
    struct Rules: Sendable {
        var unknownToken: [UInt8]?
        var fusesUnknown = false
        var fallsBackToBytes = false
        var matchesWholeWords = false
        /// A run of newlines that is a token is that token (Gemma 4 in GGUF).
        var matchesNewlines = false
        var continuingPrefix: [UInt8] = []
        var endSuffix: [UInt8] = []
        var dropout: Double?
    }

    /// A model of tokens and of merges in the order of their ranks.
    ///
    /// - Parameter dropsUnusable: Whether merges of tokens that are not there are left out, instead of being an error.
    /// - Parameter namesBytes: Whether the tokens are spelled in GPT-2's names of bytes, by a byte-level pre-tokenizer
    ///   that comes last; then the model takes bytes if the vocabulary names all 256.
    static func build(
        _ vocabulary: Vocabulary, merges: some RandomAccessCollection<(ArraySlice<UInt8>, ArraySlice<UInt8>)>,
        _ rules: Rules, namesBytes: Bool, source: String, dropsUnusable: Bool = false
    ) throws(TokenizerError) -> BytePairModel {
        var entries: [(left: Int32, right: Int32, merge: MergeTable.Merge)] = []
        entries.reserveCapacity(merges.count)
        var offences: [String] = []
        var merged = MergedTokens(vocabulary)
        let prefix = rules.continuingPrefix.count
        for (rank, (left, right)) in merges.enumerated() {
            let (leftID, rightID) = (vocabulary.find(left.span), vocabulary.find(right.span))
            // A right half shorter than the prefix that all right halves begin with cannot have been learnt.
            if leftID >= 0, rightID >= 0, right.count >= prefix, let id = merged.id(of: left, right.dropFirst(prefix)) {
                entries.append((leftID, rightID, MergeTable.Merge(rank: UInt32(rank), id: id)))
            } else if !dropsUnusable, offences.count < 8 {
                offences.append(
                    "merge \(rank) ('\(String(decoding: left, as: UTF8.self))' and '\(String(decoding: right, as: UTF8.self))') uses or makes a token that the vocabulary lacks"
                )
            }
        }
        guard offences.isEmpty else { throw .malformed(source: source, offences: offences) }
        let bytes =
            namesBytes && rules.continuingPrefix.isEmpty && rules.endSuffix.isEmpty
            ? byteMatching(vocabulary, rules) : nil
        return BytePairModel(
            vocabulary: vocabulary, matching: bytes?.matching ?? vocabulary, merges: MergeTable(entries),
            symbols: bytes.map { .bytes(ids: $0.ids) } ?? .scalars(scalarSymbols(vocabulary, rules)),
            matchesWholeWords: rules.matchesWholeWords, rules: rules,
            joints: bytes == nil ? joints(vocabulary, rules, merges: entries) : nil)
    }

    /// The places where a text may be cut; nowhere when the ends of words matter, or when what stands for unknown text
    /// merges with its neighbours.
    private static func joints(
        _ vocabulary: Vocabulary, _ rules: Rules, merges: [(left: Int32, right: Int32, merge: MergeTable.Merge)]
    ) -> PieceJoints? {
        guard !rules.matchesWholeWords, rules.continuingPrefix.isEmpty, rules.endSuffix.isEmpty else { return nil }
        let unknown = rules.unknownToken.flatMap(vocabulary.id)
        var substitutes = Set(rules.fallsBackToBytes ? ByteTokens.ids(in: vocabulary).filter { $0 >= 0 } : [])
        if let unknown { substitutes.insert(unknown) }
        guard !merges.contains(where: { substitutes.contains($0.left) || substitutes.contains($0.right) }) else {
            return nil
        }
        let newlines =
            rules.matchesNewlines ? vocabulary.tokens.compactMap { $0 }.filter { $0.allSatisfy { $0 == 10 } } : []
        return PieceJoints(
            merges.map { vocabulary.token(Int($0.merge.id)) } + newlines, isToken: { vocabulary.id(of: $0) != nil },
            dropsUnknown: unknown == nil)
    }

    private static func scalarSymbols(_ vocabulary: Vocabulary, _ rules: Rules) -> BytePairModel.ScalarSymbols {
        BytePairModel.ScalarSymbols(
            unknown: rules.unknownToken.flatMap(vocabulary.id),
            lacksUnknown: rules.unknownToken.map { vocabulary.id(of: $0) == nil } ?? false,
            fusesUnknown: rules.fusesUnknown,
            byteTokens: rules.fallsBackToBytes ? ByteTokens.ids(in: vocabulary) : nil,
            continuingPrefix: rules.continuingPrefix, endSuffix: rules.endSuffix)
    }

    /// The tokens with GPT-2's names of bytes undone, and the id of each byte; nil when a byte has no token.
    ///
    /// A token that is spelled otherwise can never come out of merges of named bytes, so it matches nothing. Where no
    /// word is looked up as a whole, they stay as they are: nobody would ask.
    private static func byteMatching(
        _ vocabulary: Vocabulary, _ rules: Rules
    ) -> (matching: Vocabulary, ids: FrozenArray<Int32>)? {
        let ids = (0...255).map { vocabulary.id(of: ByteAlphabet.names(of: [UInt8($0)])) ?? -1 }
        guard ids.allSatisfy({ $0 >= 0 }) else { return nil }
        let isAsked = rules.matchesWholeWords || rules.matchesNewlines
        return (isAsked ? vocabulary.mapped(ByteAlphabet.appendBytes(namedBy:to:)) : vocabulary, FrozenArray(ids))
    }
}

/// A finder of the tokens that merges make. Vocabularies mostly number them in the order of the merges, so that the
/// next one is looked at before the table.
private struct MergedTokens {
    private let vocabulary: Vocabulary
    private var next = 0
    private var spelling: [UInt8] = []

    init(_ vocabulary: Vocabulary) { self.vocabulary = vocabulary }

    /// The id of the token that is `left` and then `right`.
    mutating func id(of left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int32? {
        if !vocabulary.isUnique || !vocabulary.isToken(next, joining: left.span, right.span) {
            spelling.removeAll(keepingCapacity: true)
            spelling.append(contentsOf: left)
            spelling.append(contentsOf: right)
            guard let found = vocabulary.id(of: spelling) else { return nil }
            next = Int(found)
        }
        defer { next += 1 }
        return Int32(next)
    }
}
