/// How text is prepared for each kind of vocabulary, and what tokenizer comes out of it.
struct TrainingRecipe: Sendable {
    let kind: TokenizerTrainer.Kind
    let normalizer: (any Normalizer)?
    let preTokenizer: any PreTokenizer
    let specialTokens: [[UInt8]]
    private let trainer: TokenizerTrainer

    /// Longest line that is prepared in one piece.
    private static let longestLine = 1 << 20

    init(_ trainer: TokenizerTrainer) {
        self.trainer = trainer
        kind = trainer.kind
        let names: [String]
        switch kind {
        case .byteLevelBytePair:
            names = []
            normalizer = nil
            preTokenizer = ByteLevelPreTokenizer(
                addsPrefixSpace: false, splitsByPattern: true, trimsOffsets: true, namesBytes: false)
        case .bytePair, .unigram:
            names = ["<unk>", "<s>", "</s>"]
            normalizer = nil
            preTokenizer = MetaspacePreTokenizer(replacement: 0x2581, scheme: .always, splits: true)
        case .wordPiece:
            names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            normalizer = BertNormalizer(cleansText: true, spacesIdeographs: true, stripsAccents: nil, lowercases: true)
            preTokenizer = BertPreTokenizer()
        }
        specialTokens = (trainer.specialTokens.isEmpty ? names : trainer.specialTokens).map { Array($0.utf8) }
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
            for piece in staged.pieces { words.add(bytes.extracting(piece.range)) }
            start = end
        }
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
        var kept = Array(counts.keys)
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

    /// Learns merges, and makes a tokenizer of them; nil when the training was stopped.
    func learnPairs(_ words: inout WordRuns, _ memory: TrainingMemory) throws(TrainingError) -> Tokenizer? {
        let isByteLevel = kind == .byteLevelBytePair
        // Special tokens of a byte-level vocabulary are kept apart, as their text could be the bytes of a symbol.
        let specials = isByteLevel ? [] : specialTokens
        let reserved = specialTokens.count - specials.count
        let symbols = specials + (try alphabet(&words)).filter { !specials.contains($0) }
        var learner = try PairTrainer(
            symbols: symbols, prefix: kind == .wordPiece ? Array("##".utf8) : [], isByteLevel: isByteLevel,
            memory: memory)
        try words.forEach { word, count throws(TrainingError) in try learner.add(word, count: count) }
        words = WordRuns()
        let progress = trainer.progress
        let isDone = try learner.train(
            to: trainer.vocabularySize - reserved, least: Int64(trainer.minimumFrequency),
            progress: { progress(.learning, $0, $1) })
        return isDone ? tokenizer(learner) : nil
    }

    private func tokenizer(_ learner: borrowing PairTrainer) -> Tokenizer? {
        var parts: Tokenizer.Parts
        switch kind {
        case .wordPiece:
            let vocabulary = Vocabulary(learner.symbols)
            let unknown = specialTokens.first { $0 == Array("[UNK]".utf8) } ?? specialTokens.first ?? []
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
            guard let model = bytePair(learner.symbols, learner, shift: 0, unknown: specialTokens.first) else {
                return nil
            }
            parts = Tokenizer.Parts(model: model)
            parts.decoder = MetaspaceDecoder(replacement: 0x2581, dropsInFirst: true, scheme: .always, splits: true)
        }
        parts.normalizer = normalizer
        parts.preTokenizer = preTokenizer
        parts.addedTokens = addedTokens(parts.model.vocabulary)
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        return Tokenizer(parts)
    }

    private func bytePair(_ tokens: [[UInt8]], _ learner: borrowing PairTrainer, shift: Int32, unknown: [UInt8]?)
        -> BytePairModel?
    {
        var rules = BytePairBuilder.Rules()
        rules.unknownToken = unknown
        let merges = learner.merges.map { (tokens[Int($0.left + shift)], tokens[Int($0.right + shift)]) }
        return try? BytePairBuilder.build(
            Vocabulary(tokens), merges: merges, rules, namesBytes: kind == .byteLevelBytePair, source: "trainer")
    }

    func addedTokens(_ vocabulary: Vocabulary) -> [AddedToken] {
        specialTokens.compactMap { content in
            vocabulary.id(of: content).map { AddedToken(content: content, id: $0, isSpecial: true) }
        }
    }
}
