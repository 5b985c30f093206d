internal import MartletJSON

extension Tokenizer {
    /// BERT's tokenizer from a `vocab.txt`: one token per line, its number the line's.
    ///
    /// - Parameter lowercases: As the checkpoint was trained; uncased models say true.
    /// - Throws: ``TokenizerError/malformed(source:offences:)`` when there is no token, or no `[UNK]`.
    public init(vocabularyText bytes: [UInt8], lowercases: Bool = true) throws(TokenizerError) {
        var tokens: [[UInt8]?] = []
        var places: [[UInt8]: Int] = [:]
        for line in bytes.repairedUTF8.split(separator: 10, omittingEmptySubsequences: false) {
            let token = line.trimmingSpace(start: false)
            // A token given twice keeps its later number, as in the reference.
            if let before = places.updateValue(tokens.count, forKey: token) { tokens[before] = nil }
            tokens.append(token)
        }
        if tokens.last == [] { tokens.removeLast() }
        let vocabulary = Vocabulary(Array(tokens.prefix(Vocabulary.maximumCount)))
        let unknown = Array("[UNK]".utf8)
        guard vocabulary.id(of: unknown) != nil else {
            throw .malformed(source: "vocab.txt", offences: ["no line is [UNK]"])
        }
        var parts = Parts(
            model: WordPieceModel(
                vocabulary: vocabulary, unknownToken: unknown, continuingPrefix: Array("##".utf8), longestWord: 100))
        parts.normalizer = BertNormalizer(
            cleansText: true, spacesIdeographs: true, stripsAccents: nil, lowercases: lowercases)
        parts.preTokenizer = BertPreTokenizer()
        parts.decoder = WordPieceDecoder(prefix: Array("##".utf8), cleansUp: true)
        parts.addedTokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].compactMap { name in
            let content = Array(name.utf8)
            return vocabulary.id(of: content).map { AddedToken(content: content, id: $0, isSpecial: true) }
        }
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        if let classifier = parts.specialTokens.classifier, let separator = parts.specialTokens.separator {
            parts.postProcessor = BertProcessor(
                separator: ("[SEP]", separator), classifier: ("[CLS]", classifier), roberta: nil)
        }
        self.init(parts)
    }

    /// GPT-2's tokenizer from its two files.
    ///
    /// - Parameters:
    ///   - vocabulary: `vocab.json` (or `encoder.json`): tokens and ids.
    ///   - merges: `merges.txt` (or `vocab.bpe`): two tokens per line, the best first, perhaps after a `#version` line.
    public init(vocabulary: [UInt8], merges: [UInt8]) throws(TokenizerError) {
        let root: JSON
        do {
            root = try JSON(parsing: vocabulary)
        } catch {
            throw .malformed(source: "vocab.json", offences: [error.description])
        }
        guard let members = root.objectValue?.members else {
            throw .malformed(source: "vocab.json", offences: ["it is \(root.kind), not an object"])
        }
        let tokens = try ModelReader.vocabulary(members, path: "vocab.json")
        var pairs: [([UInt8], [UInt8])] = []
        var offences: [String] = []
        for (number, line) in merges.split(separator: 10).enumerated() {
            let line = line.last == 13 ? line.dropLast() : line
            if line.starts(with: "#version".utf8) || line.isEmpty { continue }
            if let pair = MergeLine.parse(Array(line)) {
                pairs.append(pair)
            } else if offences.count < 8 {
                offences.append("line \(number + 1) is not two tokens")
            }
        }
        guard offences.isEmpty else { throw .malformed(source: "merges.txt", offences: offences) }
        let model = try BytePairBuilder.build(
            Vocabulary(tokens), merges: pairs.lazy.map { ($0[...], $1[...]) }, BytePairBuilder.Rules(),
            namesBytes: true, source: "vocab.json and merges.txt")
        var byteLevel = ByteLevelPreTokenizer(addsPrefixSpace: false, splitsByPattern: true, trimsOffsets: false)
        if case .bytes = model.symbols { byteLevel.namesBytes = false }
        var parts = Parts(model: model)
        parts.preTokenizer = byteLevel
        parts.decoder = ByteLevelDecoder()
        let end = Array("<|endoftext|>".utf8)
        if let id = model.vocabulary.id(of: end) {
            parts.addedTokens = [AddedToken(content: end, id: id, isSpecial: true)]
        }
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        self.init(parts)
    }
}
