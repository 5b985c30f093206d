/// Byte pair encoding: the symbols of a word, merged pair by pair in the order in which the pairs were learnt.
///
/// One model for all kinds: symbols are the bytes of a word (``Symbols/bytes(ids:)``, where the vocabulary names all
/// 256), or its scalars with the rules of Hugging Face's `BPE` (``Symbols/scalars(_:)``); a SentencePiece BPE
/// vocabulary turns its scores into ranks first.
struct BytePairModel: TokenModel {
    /// The first symbols of a word, before any merge.
    enum Symbols: Sendable {
        /// The bytes of the word, by the id of each byte.
        case bytes(ids: FrozenArray<Int32>)
        case scalars(ScalarSymbols)
    }

    /// The rules for a scalar that is no token.
    struct ScalarSymbols: Sendable {
        var unknown: Int32?
        /// The file names an unknown token that its vocabulary does not have: unknown text is an error, as in the
        /// reference.
        var lacksUnknown = false
        /// True where neighbouring unknown scalars become one token.
        var fusesUnknown = false
        /// The ids of `<0x00>`…`<0xFF>`; a scalar is spelled by them if all it needs are there.
        var byteTokens: [Int32]?
        /// The prefix before every scalar but a word's first; ``endSuffix`` goes after its last.
        var continuingPrefix: [UInt8] = []
        var endSuffix: [UInt8] = []
    }

    let vocabulary: Vocabulary
    /// The tokens as the bytes of text that they match: the vocabulary itself, or with GPT-2's names of bytes undone.
    let matching: Vocabulary
    let merges: MergeTable
    let symbols: Symbols
    /// True where a word that is a token is that token, whatever the merges say (`ignore_merges`).
    let matchesWholeWords: Bool
    /// The settings as the file has them.
    let rules: BytePairBuilder.Rules
    let joints: PieceJoints?
    var marksContinuations: Bool { !rules.continuingPrefix.isEmpty }

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        if matchesWholeWords || rules.matchesNewlines && word.count > 0 && word[0] == 10, workspace.sampling == nil,
            word.count <= matching.longest
        {
            let id = matching.find(word)
            if id >= 0 { return output.append(id, 0, word.count) }
        }
        workspace.merger.reset()
        switch symbols {
        case .bytes(let ids):
            for index in 0..<word.count { workspace.merger.append(ids[Int(word[index])], end: index + 1) }
        case .scalars(let rules): try appendScalars(of: word, rules, to: &workspace.merger)
        }
        if var sampling = workspace.sampling {
            workspace.merger.run(merges, dropping: &sampling)
            workspace.sampling = sampling
        } else {
            workspace.merger.run(merges)
        }
        workspace.merger.take(into: &output)
    }

    /// The symbols of a word as `BPE` of the reference finds them; an unknown scalar without an unknown token is left
    /// out.
    private func appendScalars(
        of word: Span<UInt8>, _ rules: ScalarSymbols, to merger: inout PairMerger
    ) throws(TokenizerError) {
        var index = 0
        var end = 0
        var pendingUnknown: Int?
        while index < word.count {
            let length = word.scalar(at: index).length
            let isLast = index + length == word.count
            let id: Int32
            if rules.continuingPrefix.isEmpty && rules.endSuffix.isEmpty {
                id = matching.find(word.extracting(index..<(index + length)))
            } else {
                var symbol = index > 0 ? rules.continuingPrefix : []
                for byte in index..<(index + length) { symbol.append(word[byte]) }
                if isLast { symbol += rules.endSuffix }
                id = matching.find(symbol.span)
            }
            if id >= 0 {
                flush(&pendingUnknown, &end, rules, to: &merger)
                end += length
                merger.append(id, end: end)
            } else if !appendBytes(of: word, index, length, isLast, rules, &end, to: &merger) {
                guard rules.unknown != nil else {
                    guard !rules.lacksUnknown else { throw BytePairModel.unknownText(word, index, length) }
                    index += length
                    continue
                }
                if !rules.fusesUnknown { flush(&pendingUnknown, &end, rules, to: &merger) }
                pendingUnknown = (pendingUnknown ?? 0) + length
            }
            index += length
        }
        flush(&pendingUnknown, &end, rules, to: &merger)
    }

    static func unknownText(_ word: Span<UInt8>, _ start: Int, _ length: Int) -> TokenizerError {
        let bytes = (start..<(start + length)).map { word[$0] }
        return .unknownText(
            String(decoding: bytes, as: UTF8.self),
            remedy: "add the unknown token that the file names to its vocabulary")
    }

    private func flush(_ length: inout Int?, _ end: inout Int, _ rules: ScalarSymbols, to merger: inout PairMerger) {
        guard let pending = length, let unknown = rules.unknown else { return }
        end += pending
        merger.append(unknown, end: end)
        length = nil
    }

    /// Spells a scalar by byte tokens, with prefix and suffix as the reference does.
    ///
    /// - Returns: false when there are none, or one is missing.
    private func appendBytes(
        of word: Span<UInt8>, _ start: Int, _ length: Int, _ isLast: Bool, _ rules: ScalarSymbols, _ end: inout Int,
        to merger: inout PairMerger
    ) -> Bool {
        guard let byteTokens = rules.byteTokens else { return false }
        var bytes = start > 0 ? rules.continuingPrefix : []
        for index in start..<(start + length) { bytes.append(word[index]) }
        if isLast { bytes += rules.endSuffix }
        guard bytes.allSatisfy({ byteTokens[Int($0)] >= 0 }) else { return false }
        for byte in bytes {
            end += 1
            merger.append(byteTokens[Int(byte)], end: end)
        }
        return true
    }
}
