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
    static func build<Part: Collection<UInt8>>(
        _ vocabulary: Vocabulary, merges: [(Part, Part)], _ rules: Rules, namesBytes: Bool, source: String,
        dropsUnusable: Bool = false
    ) throws(TokenizerError) -> BytePairModel {
        var entries: [(left: Int32, right: Int32, merge: MergeTable.Merge)] = []
        entries.reserveCapacity(merges.count)
        var offences: [String] = []
        // Whole vocabularies pass here while a user waits: no array is made for a look-up.
        let none = EmptyCollection<UInt8>()
        var spelling: [UInt8] = []
        func find(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Int32? {
            spelling.removeAll(keepingCapacity: true)
            spelling.append(contentsOf: left)
            spelling.append(contentsOf: right)
            return vocabulary.id(of: spelling)
        }
        for (rank, (left, right)) in merges.enumerated() {
            // A right half shorter than the prefix that all right halves begin with cannot have been learnt.
            let tail = right.dropFirst(rules.continuingPrefix.count)
            if let leftID = find(left, none), let rightID = find(right, none),
                right.count >= rules.continuingPrefix.count, let id = find(left, tail)
            {
                entries.append((leftID, rightID, MergeTable.Merge(rank: UInt32(rank), id: id)))
            } else if !dropsUnusable, offences.count < 8 {
                offences.append(
                    "merge \(rank) ('\(String(decoding: left, as: UTF8.self))' and '\(String(decoding: right, as: UTF8.self))') uses or makes a token that the vocabulary lacks"
                )
            }
        }
        guard offences.isEmpty else { throw .malformed(source: source, offences: offences) }
        let bytes =
            namesBytes && rules.continuingPrefix.isEmpty && rules.endSuffix.isEmpty ? byteMatching(vocabulary) : nil
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
    /// A token that is spelled otherwise can never come out of merges of named bytes, so it matches nothing.
    private static func byteMatching(_ vocabulary: Vocabulary) -> (matching: Vocabulary, ids: FrozenArray<Int32>)? {
        let matching = vocabulary.mapped(ByteAlphabet.appendBytes(namedBy:to:))
        let ids = (0...255).map { matching.id(of: [UInt8($0)]) ?? -1 }
        guard ids.allSatisfy({ $0 >= 0 }) else { return nil }
        return (matching, FrozenArray(ids))
    }
}
