public import MartletPlatform
import Synchronization

/// A trainer that learns a vocabulary from text.
///
/// Text is read in blocks and counted by several threads; the result does not depend on their number. Counts have 64
/// bits.
public struct TokenizerTrainer: Sendable {
    /// The kinds of vocabulary that can be learnt.
    public enum Kind: String, Sendable, CaseIterable {
        /// Byte-pair encoding of scalars, with the sign U+2581 for spaces and an unknown token.
        case bytePair = "bpe"
        /// Byte-level byte-pair encoding, GPT-2's, which knows every text.
        case byteLevelBytePair = "byte-bpe"
        /// Unigram: pieces with probabilities (Kudo 2018), with the sign U+2581 for spaces.
        case unigram
        /// WordPiece, BERT's, of lower-cased text.
        case wordPiece = "wordpiece"
    }

    /// The kind of vocabulary.
    public var kind: Kind
    /// The number of tokens wanted, special ones included.
    public var vocabularySize: Int
    /// The minimum frequency of a pair of symbols: one that occurs less often is not merged.
    public var minimumFrequency = 2
    /// The first tokens of the vocabulary. Empty: those that the kind needs.
    public var specialTokens: [String] = []
    /// The unknown token, which stands for what the vocabulary cannot spell, one of the special ones. Nil: `<unk>` or
    /// `[UNK]` where it is among them.
    public var unknownToken: String?
    /// The maximum number of different scalars in the first vocabulary, the most frequent ones; nil: all.
    public var alphabetLimit: Int?
    /// The share of the text's scalars that the first vocabulary covers, the most frequent ones first (SentencePiece's
    /// `character_coverage`).
    public var characterCoverage = 1.0
    /// The scalars that are in the first vocabulary, whether the text has them or not.
    public var seedAlphabet = ""
    /// Byte fallback: true where scalars that are in no token are spelled by their bytes (`<0x41>`), which are then
    /// tokens. Byte-level and WordPiece vocabularies have no use for it.
    public var fallsBackToBytes = false
    /// The longest token that is learnt, in scalars; nil: as long as words are, or 16 in a Unigram vocabulary.
    public var longestToken: Int?
    /// The normalization of text before it is learnt from, one form after the other; nil: as the kind does.
    public var normalization: [Normalization]?

    /// A form that text is brought to.
    public enum Normalization: String, Sendable, CaseIterable {
        case nfc, nfd, nfkc, nfkd, lowercase
    }
    /// The memory limit in bytes of counting and learning, beside the texts given and the vocabulary itself. What does
    /// not fit goes to temporary files (in TMPDIR, else /var/tmp); the result is the same.
    public var memoryLimit = 4 << 30
    /// The bytes of the longest line: what has none is no text, and may never end.
    package var longestLine = 1 << 28
    /// Threads that count; nil: one per processor.
    public var threads: Int?
    /// The progress callback, called now and then with what has been done of what there is to do; false stops the
    /// training.
    public var progress: @Sendable (Stage, _ done: Int, _ total: Int) -> Bool = { _, _, _ in true }

    /// The stage of a training.
    public enum Stage: String, Sendable {
        /// The counting of words, measured in bytes.
        case reading
        /// The growing or shrinking of the vocabulary, measured in tokens.
        case learning
    }

    /// The result of a training.
    public struct Result: Sendable {
        /// The tokenizer with the vocabulary learnt.
        public let tokenizer: Tokenizer
        /// The number of words counted, repetitions included.
        public let words: Int64
        /// The number of different words.
        public let differentWords: Int
        /// The number of places where the text was not UTF-8, each read as U+FFFD.
        public let malformed: Int
    }

    /// A trainer with the settings of the reference's trainers.
    public init(_ kind: Kind, vocabularySize: Int) {
        (self.kind, self.vocabularySize) = (kind, vocabularySize)
    }

    /// Learns from the lines of files.
    ///
    /// - Throws: ``TrainingError``.
    public func train(files: [String]) throws(TrainingError) -> Result {
        try checkSettings()
        var total = 0
        for file in files { total += try TextFile.size(file) }
        var counting = Counting(self)
        var done = 0
        for path in files {
            var file = try TextFile(path, blockSize: counting.memory.block, longestLine: longestLine)
            while let block = try file.nextBlock() {
                try counting.count(block)
                done += block.count
                guard progress(.reading, done, total) else { throw .stopped }
            }
        }
        return try learn(counting)
    }

    /// Learns from texts in memory, each cut into lines.
    public func train(texts: some Sequence<String>) throws(TrainingError) -> Result {
        try checkSettings()
        var counting = Counting(self)
        for text in texts { try counting.count(Array(text.utf8)) }
        return try learn(counting)
    }

    private func checkSettings() throws(TrainingError) {
        var offences: [String] = []
        if !(1...Vocabulary.maximumCount).contains(vocabularySize) {
            offences.append("a vocabulary of \(vocabularySize), not from 1 to \(Vocabulary.maximumCount)")
        }
        let recipe = recipe
        let reserved = recipe.specialTokens.count + recipe.byteTokens.count
        if kind == .byteLevelBytePair, vocabularySize < 256 + reserved {
            offences.append(
                "a vocabulary of \(vocabularySize) is too small for 256 bytes and \(reserved) special tokens")
        }
        if let unknownToken, !recipe.specialTokens.contains(Array(unknownToken.utf8)) {
            offences.append("the unknown token \(unknownToken) is not among the special tokens")
        }
        if kind == .wordPiece, recipe.unknownToken == nil {
            offences.append("WordPiece needs an unknown token: [UNK] among the special tokens, or one that is named")
        }
        if !(0...1).contains(characterCoverage) || characterCoverage == 0 {
            offences.append("a character coverage of \(characterCoverage), not over 0 and up to 1")
        }
        if let longestToken, longestToken < 1 { offences.append("a longest token of \(longestToken) scalars") }
        if let alphabetLimit, alphabetLimit < 1 { offences.append("an alphabet of \(alphabetLimit) scalars") }
        if fallsBackToBytes, kind == .byteLevelBytePair || kind == .wordPiece {
            offences.append("falling back to bytes is for bpe and unigram; \(kind.rawValue) cannot")
        }
        if memoryLimit < 1 << 20 { offences.append("a memory limit of \(memoryLimit) bytes is under 1 MiB") }
        guard offences.isEmpty else { throw .settings(offences) }
    }

    var recipe: TrainingRecipe { TrainingRecipe(self) }

    private func learn(_ counting: consuming Counting) throws(TrainingError) -> Result {
        var (total, different): (Int64, Int) = (0, 0)
        try counting.words.forEach { _, count throws(TrainingError) in
            total += count
            different += 1
        }
        guard different > 0 else { throw .noText }
        let memory = counting.memory
        let tokenizer: Tokenizer?
        switch kind {
        case .unigram: tokenizer = try UnigramTrainer(self, &counting.words, memory).train()
        default: tokenizer = try recipe.learnPairs(&counting.words, memory)
        }
        guard let tokenizer else { throw .stopped }
        return Result(
            tokenizer: tokenizer, words: total, differentWords: different, malformed: counting.malformed)
    }
}

/// The reason why a training could not be done.
public enum TrainingError: MartletError, Equatable {
    /// The settings do not fit together: each offence.
    case settings([String])
    /// A text cannot be read.
    case unreadable(path: String, reason: String)
    /// Temporary files cannot be kept, or a folder is full.
    case unwritable(path: String, reason: String)
    /// More than 2³¹ words hold some pair each, or all have more than 2³² symbols: the reach of an index.
    case tooManyWords
    /// There is no word in the texts.
    case noText
    /// ``TokenizerTrainer/progress`` said so.
    case stopped

    /// The offences: everything that was wrong, each as a sentence.
    public var offences: [String] { if case .settings(let offences) = self { offences } else { [cause] } }

    /// The cause: what was found, and where.
    public var cause: String {
        switch self {
        case .settings(let offences): "cannot train: \(offences.joined(separator: "; ")); change the settings"
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        case .unwritable(let path, let reason): "cannot keep \(path): \(reason); set TMPDIR to a folder with room"
        case .tooManyWords: "cannot train: there are too many different words; train on a part of the text"
        case .noText: "cannot train: the text has no words; give files with text"
        case .stopped: "the training was stopped"
        }
    }
}

/// The counting of words, block by block: the lines of a block are shared out, and the counts of the shares put
/// together in their order.
private struct Counting: ~Copyable {
    let trainer: TokenizerTrainer
    let recipe: TrainingRecipe
    let memory: TrainingMemory
    var words = WordRuns()
    private(set) var malformed = 0

    init(_ trainer: TokenizerTrainer) {
        self.trainer = trainer
        recipe = trainer.recipe
        memory = TrainingMemory(limit: trainer.memoryLimit)
    }

    mutating func count(_ block: [UInt8]) throws(TrainingError) {
        let threads = max(1, trainer.threads ?? Processors.availableCores())
        let text = block.repairedUTF8
        malformed += Counting.replacements(text) - Counting.replacements(block)
        let shares = Shares(text, block.count < 1 << 16 ? 1 : threads)
        let recipe = recipe
        Threads.run(shares.count) { index in shares.count(index, recipe) }
        for share in shares.results { try words.merge(share, limit: memory.counts) }
    }
}

extension Counting {
    /// The number of times that U+FFFD stands in a text.
    fileprivate static func replacements(_ text: [UInt8]) -> Int {
        guard text.count > 2 else { return 0 }
        return (2..<text.count).count { text[$0 - 2] == 0xEF && text[$0 - 1] == 0xBF && text[$0] == 0xBD }
    }
}

/// Parts of a block, each counted by a thread of its own.
private final class Shares: Sendable {
    private let block: [UInt8]
    private let cuts: [Int]
    private let counters: Mutex<[WordCounter]>
    let count: Int

    init(_ block: [UInt8], _ count: Int) {
        self.block = block
        var cuts = [0]
        for index in 1..<count {
            // Cut behind the end of a line.
            var at = max(cuts[index - 1], block.count * index / count)
            while at < block.count, at > 0, block[at - 1] != 10 { at += 1 }
            cuts.append(at)
        }
        self.cuts = cuts + [block.count]
        self.count = count
        counters = Mutex((0..<count).map { _ in WordCounter() })
    }

    /// The words of each part, when all threads are done.
    var results: [WordCounter] { counters.withLock { $0 } }

    func count(_ index: Int, _ recipe: TrainingRecipe) {
        let words = WordCounter()
        recipe.count(block[cuts[index]..<cuts[index + 1]], into: words)
        counters.withLock { $0[index] = words }
    }
}
