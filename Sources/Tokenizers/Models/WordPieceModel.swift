/// WordPiece: from the left, the longest token that the rest of the word begins with (Schuster and Nakajima 2012,
/// BERT).
struct WordPieceModel: TokenModel {
    let vocabulary: Vocabulary
    let unknownToken: [UInt8]
    /// The prefix before every token but a word's first.
    let continuingPrefix: [UInt8]
    var marksContinuations: Bool { !continuingPrefix.isEmpty }
    /// A word of more scalars is unknown.
    let longestWord: Int
    private let unknown: Int32?
    private let initial: ByteTrie
    private let continuing: ByteTrie

    init(vocabulary: Vocabulary, unknownToken: [UInt8], continuingPrefix: [UInt8], longestWord: Int) {
        self.vocabulary = vocabulary
        self.unknownToken = unknownToken
        self.continuingPrefix = continuingPrefix
        self.longestWord = longestWord
        unknown = vocabulary.id(of: unknownToken)
        let entries = vocabulary.tokens.enumerated().compactMap { id, token in
            token.flatMap { vocabulary.id(of: $0) == Int32(id) ? (key: $0, value: Int32(id)) : nil }
        }
        initial = ByteTrie(entries)
        continuing =
            continuingPrefix.isEmpty
            ? initial
            : ByteTrie(
                entries.compactMap { entry in
                    entry.key.starts(with: continuingPrefix)
                        ? (Array(entry.key.dropFirst(continuingPrefix.count)), entry.value) : nil
                })
    }

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        let (ids, spans) = (output.ids.count, output.spans.count)
        var start = isTooLong(word) ? -1 : 0
        while start >= 0, start < word.count {
            let (id, end) = longest(word, from: start)
            guard id >= 0 else {
                start = -1
                break
            }
            output.append(id, start, end)
            start = end
        }
        guard start < 0 else { return }
        output.ids.removeSubrange(ids...)
        output.spans.removeSubrange(spans...)
        guard let unknown else {
            throw .unknownText(
                unsafe word.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) },
                remedy: "add the unknown token '\(String(decoding: unknownToken, as: UTF8.self))' to the vocabulary")
        }
        output.append(unknown, 0, word.count)
    }

    private func isTooLong(_ word: Span<UInt8>) -> Bool {
        guard word.count > longestWord else { return false }
        var scalars = 0
        for index in 0..<word.count where word[index] & 0xC0 != 0x80 { scalars += 1 }
        return scalars > longestWord
    }

    @inline(__always)
    private func longest(_ word: Span<UInt8>, from start: Int) -> (id: Int32, end: Int) {
        let trie = start == 0 ? initial : continuing
        var node = ByteTrie.root
        var best: (id: Int32, end: Int) = (-1, start)
        var index = start
        while index < word.count {
            node = trie.step(node, word[index])
            guard node >= 0 else { break }
            index += 1
            let id = trie.value(node)
            if id >= 0 { best = (id, index) }
        }
        return best
    }
}
