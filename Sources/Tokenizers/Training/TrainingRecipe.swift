/// The recipe for each kind of vocabulary: how its text is prepared, and what tokenizer comes out of it.
struct TrainingRecipe: Sendable {
    let kind: TokenizerTrainer.Kind
    let normalizer: (any Normalizer)?
    let preTokenizer: any PreTokenizer
    let specialTokens: [[UInt8]]
    /// The tokens of bytes, `<0x00>` to `<0xFF>`, where scalars may be spelled by their bytes.
    let byteTokens: [[UInt8]]
    private let trainer: TokenizerTrainer

    /// Longest line that is prepared in one piece.
    private static let longestLine = 1 << 20
    /// Longest word that is learnt from in one piece, in bytes: a merge goes through the whole word.
    private static let longestWord = 1 << 12

    init(_ trainer: TokenizerTrainer) {
        self.trainer = trainer
        kind = trainer.kind
        let names: [String]
        let usual: (any Normalizer)?
        switch kind {
        case .byteLevelBytePair:
            names = []
            usual = nil
            preTokenizer = ByteLevelPreTokenizer(
                addsPrefixSpace: false, splitsByPattern: true, trimsOffsets: true, namesBytes: false)
        case .bytePair, .unigram:
            names = ["<unk>", "<s>", "</s>"]
            usual = nil
            preTokenizer = MetaspacePreTokenizer(replacement: 0x2581, scheme: .always, splits: true)
        case .wordPiece:
            names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            usual = BertNormalizer(cleansText: true, spacesIdeographs: true, stripsAccents: nil, lowercases: true)
            preTokenizer = BertPreTokenizer()
        }
        normalizer =
            trainer.normalization.map { forms in
                NormalizerSequence(parts: forms.map(TrainingRecipe.normalizer))
            } ?? usual
        var unique: [[UInt8]] = []
        for name in trainer.specialTokens.isEmpty ? names : trainer.specialTokens {
            if !unique.contains(Array(name.utf8)) { unique.append(Array(name.utf8)) }
        }
        specialTokens = unique
        byteTokens =
            trainer.fallsBackToBytes ? (0...255).map { ByteTokens.token(UInt8($0)) } : []
    }

    private static func normalizer(_ form: TokenizerTrainer.Normalization) -> any Normalizer {
        switch form {
        case .nfc: UnicodeForm.nfc
        case .nfd: UnicodeForm.nfd
        case .nfkc: UnicodeForm.nfkc
        case .nfkd: UnicodeForm.nfkd
        case .lowercase: LowercaseNormalizer()
        }
    }

    /// The special token for what the vocabulary cannot spell.
    var unknownToken: [UInt8]? {
        if let chosen = trainer.unknownToken { return Array(chosen.utf8) }
        return ["<unk>", "[UNK]"].map { Array($0.utf8) }.first(where: specialTokens.contains)
    }

    /// Counts the words of the lines of `text`, which is valid UTF-8.
    func count(_ text: ArraySlice<UInt8>, into words: WordCounter) {
        var start = text.startIndex
        while start < text.endIndex {
            var end = text[start...].firstIndex(of: 10).map { $0 + 1 } ?? text.endIndex
            if end - start > TrainingRecipe.longestLine {
                end = start + TrainingRecipe.longestLine
                while end > start, text[end] & 0xC0 == 0x80 { end -= 1 }
            }
            var staged = StagedText(content: Array(text[start..<end]))
            normalizer?.normalize(&staged)
            preTokenizer.preTokenize(&staged)
            let bytes = staged.bytes.span
            for piece in staged.pieces { TrainingRecipe.add(bytes.extracting(piece.range), to: words) }
            start = end
        }
    }

    /// Counts a word; one that is very long in parts.
    private static func add(_ word: Span<UInt8>, to words: WordCounter) {
        var start = 0
        while word.count - start > longestWord {
            var end = start + longestWord
            while end > start + 1, word[end] & 0xC0 == 0x80 { end -= 1 }
            words.add(word.extracting(start..<end))
            start = end
        }
        words.add(word.extracting(start..<word.count))
    }

    /// The scalars of the words, by value; the rarest left out when there are more than allowed.
    func alphabet(_ words: inout WordRuns) throws(TrainingError) -> [[UInt8]] {
        if kind == .byteLevelBytePair {
            // GPT-2's names of bytes, in their order as scalars.
            return (0..<256).sorted { ByteAlphabet.scalars[$0] < ByteAlphabet.scalars[$1] }.map { [UInt8($0)] }
        }
        var counts: [UInt32: Int64] = [:]
        try words.forEach { word, count throws(TrainingError) in
            var index = 0
            while index < word.count {
                let scalar = word.scalar(at: index)
                counts[scalar.value, default: 0] += count
                index += scalar.length
            }
        }
        for scalar in trainer.seedAlphabet.unicodeScalars { counts[scalar.value] = .max }
        var kept = Array(counts.keys)
        if trainer.characterCoverage < 1 { kept = covering(counts) }
        if let limit = trainer.alphabetLimit, kept.count > limit {
            kept.sort { (counts[$1] ?? 0, $0) < (counts[$0] ?? 0, $1) }
            kept.removeLast(kept.count - max(0, limit))
        }
        return kept.sorted().map { scalar in
            var bytes: [UInt8] = []
            bytes.appendScalar(scalar)
            return bytes
        }
    }

    /// The most frequent scalars, as many as cover the wanted share of all, and those that are wanted in any case.
    private func covering(_ counts: [UInt32: Int64]) -> [UInt32] {
        let wanted = Set(trainer.seedAlphabet.unicodeScalars.map(\.value))
        let others = counts.filter { !wanted.contains($0.key) }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let total = others.reduce(0.0) { $0 + Double($1.value) }
        var kept = Array(wanted)
        var covered = 0.0
        for (scalar, count) in others {
            guard covered < total * trainer.characterCoverage else { break }
            covered += Double(count)
            kept.append(scalar)
        }
        return kept
    }

    /// - Throws: ``TrainingError/settings(_:)`` where the vocabulary does not hold the letters of the text.
    func checkRoom(for alphabet: Int) throws(TrainingError) {
        let reserved = specialTokens.count + byteTokens.count
        guard trainer.vocabularySize < alphabet + reserved else { return }
        throw .settings([
            "a vocabulary of \(trainer.vocabularySize) is too small for \(alphabet) different letters and \(reserved) special tokens; give \(alphabet + reserved) or more, or limit the alphabet"
        ])
    }

    /// Learns merges, and makes a tokenizer of them; nil when the training was stopped.
    func learnPairs(_ words: inout WordRuns, _ memory: TrainingMemory) throws(TrainingError) -> Tokenizer? {
        let isByteLevel = kind == .byteLevelBytePair
        // Special tokens of a byte-level vocabulary are kept apart, as their text could be the bytes of a symbol.
        let specials = isByteLevel ? [] : specialTokens + byteTokens
        let reserved = isByteLevel ? specialTokens.count : 0
        let letters = try alphabet(&words).filter { !specials.contains($0) }
        try checkRoom(for: letters.count)
        let symbols = specials + letters
        var learner = try PairTrainer(
            symbols: symbols, prefix: kind == .wordPiece ? Array("##".utf8) : [], isByteLevel: isByteLevel,
            memory: memory)
        try words.forEach { word, count throws(TrainingError) in try learner.add(word, count: count) }
        words = WordRuns()
        let progress = trainer.progress
        let isDone = try learner.train(
            to: trainer.vocabularySize - reserved, least: Int64(trainer.minimumFrequency),
            longest: trainer.longestToken ?? .max,
            progress: { progress(.learning, $0, $1) })
        return isDone ? tokenizer(learner) : nil
    }

    private func tokenizer(_ learner: borrowing PairTrainer) -> Tokenizer? {
        var parts: Tokenizer.Parts
        switch kind {
        case .wordPiece:
            let vocabulary = Vocabulary(learner.symbols)
            let unknown = unknownToken ?? []
            parts = Tokenizer.Parts(
                model: WordPieceModel(
                    vocabulary: vocabulary, unknownToken: unknown, continuingPrefix: Array("##".utf8), longestWord: 100)
            )
            parts.decoder = WordPieceDecoder(prefix: Array("##".utf8), cleansUp: true)
            if let classifier = vocabulary.id(of: Array("[CLS]".utf8)),
                let separator = vocabulary.id(of: Array("[SEP]".utf8))
            {
                parts.postProcessor = BertProcessor(
                    separator: ("[SEP]", separator), classifier: ("[CLS]", classifier), roberta: nil)
            }
        case .byteLevelBytePair:
            let shift = Int32(specialTokens.count)
            let tokens = specialTokens + learner.symbols.map { ByteAlphabet.names(of: $0) }
            guard let model = bytePair(tokens, learner, shift: shift, unknown: nil) else { return nil }
            parts = Tokenizer.Parts(model: model)
            parts.decoder = ByteLevelDecoder()
            parts.postProcessor = ByteLevelProcessor(trimsOffsets: false, addsPrefixSpace: false, splitsByPattern: true)
        default:
            guard let model = bytePair(learner.symbols, learner, shift: 0, unknown: unknownToken) else {
                return nil
            }
            parts = Tokenizer.Parts(model: model)
            parts.decoder = decoder
        }
        parts.normalizer = normalizer
        parts.preTokenizer = preTokenizer
        parts.addedTokens = addedTokens(parts.model.vocabulary)
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        return Tokenizer(parts)
    }

    /// The decoder that puts the words of a vocabulary with signs for spaces together again.
    var decoder: any Decoder {
        let spaces = MetaspaceDecoder(replacement: 0x2581, dropsInFirst: true, scheme: .always, splits: true)
        guard trainer.fallsBackToBytes else { return spaces }
        return DecoderSequence(parts: [ByteFallbackDecoder(), spaces])
    }

    private func bytePair(_ tokens: [[UInt8]], _ learner: borrowing PairTrainer, shift: Int32, unknown: [UInt8]?)
        -> BytePairModel?
    {
        var rules = BytePairBuilder.Rules()
        rules.unknownToken = unknown
        rules.fallsBackToBytes = trainer.fallsBackToBytes
        let merges = learner.merges.map { (tokens[Int($0.left + shift)][...], tokens[Int($0.right + shift)][...]) }
        return try? BytePairBuilder.build(
            Vocabulary(tokens), merges: merges, rules, namesBytes: kind == .byteLevelBytePair, source: "trainer")
    }

    func addedTokens(_ vocabulary: Vocabulary) -> [AddedToken] {
        specialTokens.compactMap { content in
            vocabulary.id(of: content).map { AddedToken(content: content, id: $0, isSpecial: true) }
        }
    }
}
