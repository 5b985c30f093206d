/// The added vocabulary, the tokens beside the model's own: those found in the text as given, those found in normalized
/// text, and their ids.
struct AddedVocabulary: Sendable {
    /// The added tokens in the order of the file.
    let tokens: [AddedToken]
    /// The spellings by which they are found and written: normalized tokens in their normalized form.
    private let spellings: [[UInt8]]
    private let inText: TokenFinder
    private let inNormalizedText: TokenFinder
    private let byID: [Int32: Int]
    private let byContent: [[UInt8]: Int32]

    /// - Parameter normalizer: What the content of normalized tokens goes through before it is looked for.
    init(_ tokens: [AddedToken], normalizer: (any Normalizer)?) {
        self.tokens = tokens
        inText = TokenFinder(tokens.filter { !$0.isNormalized }.map { ($0.content, $0) })
        let spellings = tokens.map { token in
            var content = StagedText(content: token.content)
            if token.isNormalized { normalizer?.normalize(&content) }
            return content.bytes
        }
        self.spellings = spellings
        // The reference lists special tokens first.
        let normalized = tokens.indices.filter { tokens[$0].isNormalized }
        inNormalizedText = TokenFinder(
            (normalized.filter { tokens[$0].isSpecial } + normalized.filter { !tokens[$0].isSpecial }).map {
                (spellings[$0], tokens[$0])
            })
        byID = Dictionary(tokens.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { $1 })
        byContent = Dictionary(tokens.map { ($0.content, $0.id) }, uniquingKeysWith: { $1 })
    }

    var largestID: Int32? { byID.keys.max() }
    var hasTokensInText: Bool { !inText.isEmpty }
    var hasTokensInNormalizedText: Bool { !inNormalizedText.isEmpty }

    func token(_ id: Int32) -> AddedToken? { byID[id].map { tokens[$0] } }
    func spelling(_ id: Int32) -> [UInt8]? { byID[id].map { spellings[$0] } }
    func id(of content: [UInt8]) -> Int32? { byContent[content] }

    /// The ids that are spelled as the content of a special token, here and in the model's own vocabulary.
    func ids(spelledAsSpecial vocabulary: Vocabulary) -> Set<Int32> {
        let contents = Set(tokens.filter(\.isSpecial).map(\.content))
        var ids = Set(byID.filter { contents.contains(spellings[$0.value]) }.keys)
        for content in contents {
            if let id = vocabulary.id(of: content), byID[id] == nil { ids.insert(id) }
        }
        return ids
    }

    func parts(of text: Span<UInt8>, where takes: (AddedToken, Range<Int>) -> Bool) -> [TokenFinder.Part] {
        inText.parts(of: text, where: takes)
    }

    func parts(ofNormalized text: Span<UInt8>, where takes: (AddedToken, Range<Int>) -> Bool) -> [TokenFinder.Part] {
        inNormalizedText.parts(of: text, where: takes)
    }
}
