/// A token per word, or the unknown one.
struct WordLevelModel: TokenModel {
    let vocabulary: Vocabulary
    let unknownToken: [UInt8]
    private let unknown: Int32?

    init(vocabulary: Vocabulary, unknownToken: [UInt8]) {
        self.vocabulary = vocabulary
        self.unknownToken = unknownToken
        unknown = vocabulary.id(of: unknownToken)
    }

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        let id = vocabulary.find(word)
        guard let found = id >= 0 ? id : unknown else {
            throw .unknownText(
                unsafe word.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) },
                remedy: "add the unknown token '\(String(decoding: unknownToken, as: UTF8.self))' to the vocabulary")
        }
        output.append(found, 0, word.count)
    }
}
