import MartletPlatform
import Synchronization

/// A trainer of a Unigram vocabulary (Kudo 2018): a large one of frequent substrings first, then rounds of
/// expectation-maximisation, each followed by dropping the pieces whose loss costs the likelihood least.
///
/// Sums are taken over fixed portions of the words, in a fixed order, so that the number of threads changes nothing.
struct UnigramTrainer {
    private static let usualLongestPiece = 16
    private static let seedFactor = 30
    private static let shrinking = 0.75
    private static let roundsOfEstimation = 2
    private static let portions = 64

    private let trainer: TokenizerTrainer
    private let words: WordList
    private let memory: TrainingMemory
    private var pieces: [(piece: [UInt8], score: Double)] = []
    /// Single scalars, which are never dropped.
    private let alphabet: Set<[UInt8]>
    private var longestPiece: Int { trainer.longestToken ?? UnigramTrainer.usualLongestPiece }

    init(_ trainer: TokenizerTrainer, _ words: inout WordRuns, _ memory: TrainingMemory) throws(TrainingError) {
        self.trainer = trainer
        self.memory = memory
        let recipe = trainer.recipe
        let reserved = Set(recipe.specialTokens + recipe.byteTokens)
        alphabet = Set(try recipe.alphabet(&words)).subtracting(reserved)
        try recipe.checkRoom(for: alphabet.count)
        self.words = try WordList(&words, memory)
        words = WordRuns()
    }

    /// - Returns: nil when the training was stopped.
    func train() throws(TrainingError) -> Tokenizer? {
        var learner = self
        let specials = trainer.recipe.specialTokens + trainer.recipe.byteTokens
        let wanted = max(trainer.vocabularySize - specials.count, alphabet.count)
        try learner.seed(wanted)
        while true {
            for _ in 0..<UnigramTrainer.roundsOfEstimation { learner.maximize(learner.expectations().counts) }
            guard trainer.progress(.learning, wanted, learner.pieces.count) else { return nil }
            if learner.pieces.count <= wanted * 11 / 10 { break }
            let before = learner.pieces.count
            learner.prune(to: max(wanted * 11 / 10, Int(Double(before) * UnigramTrainer.shrinking)))
            if learner.pieces.count >= before { break }
        }
        return learner.finish(wanted, specials)
    }

    // MARK: Seeds

    /// Begins with all scalars, and the substrings that cover most text.
    private mutating func seed(_ wanted: Int) throws(TrainingError) {
        var scalars: [[UInt8]: Double] = [:]
        for index in 0..<words.count {
            memory.breathe()
            for piece in UnigramTrainer.scalars(words.word(index)) where alphabet.contains(piece) {
                scalars[piece, default: 0] += Double(words.times(index))
            }
        }
        let kept = try frequentSubstrings(max(wanted * UnigramTrainer.seedFactor, 1 << 16))
        let all = scalars.map { ($0.key, $0.value) } + kept.map { ($0.piece, $0.weight) }
        let total = all.reduce(0) { $0 + $1.1 }
        pieces = all.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map {
            (piece: $0.0, score: log($0.1) - log(total))
        }
    }

    /// The `wanted` substrings of most weight, their count times their length, that occur twice.
    private func frequentSubstrings(_ wanted: Int) throws(TrainingError) -> [(piece: [UInt8], weight: Double)] {
        var substrings = WordRuns()
        let limit = memory.counts
        for index in 0..<words.count {
            memory.breathe()
            let word = words.word(index)
            let bytes = word.span
            var cuts = [0]
            while let last = cuts.last, last < word.count { cuts.append(last + bytes.scalar(at: last).length) }
            for first in cuts.indices {
                for last in stride(from: first + 2, to: min(first + longestPiece + 1, cuts.count), by: 1) {
                    try substrings.add(
                        bytes.extracting(cuts[first]..<cuts[last]), times: words.times(index), limit: limit)
                }
            }
        }
        var kept: [(piece: [UInt8], weight: Double)] = []
        func keepBest() {
            kept.sort {
                $0.weight != $1.weight ? $0.weight > $1.weight : $0.piece.lexicographicallyPrecedes($1.piece)
            }
            kept.removeLast(max(0, kept.count - wanted))
        }
        try substrings.forEach { piece, count throws(TrainingError) in
            guard count >= 2 else { return }
            let bytes = (0..<piece.count).map { piece[$0] }
            kept.append((bytes, Double(count) * Double(bytes.scalars.count)))
            if kept.count >= wanted * 2 { keepBest() }
        }
        keepBest()
        return kept
    }

    private static func scalars(_ word: [UInt8]) -> [[UInt8]] {
        word.scalars.map { scalar in
            var bytes: [UInt8] = []
            bytes.appendScalar(scalar)
            return bytes
        }
    }

    // MARK: Expectation and maximisation

    private var trie: ByteTrie { ByteTrie(pieces.enumerated().map { ($1.piece, Int32($0)) }) }

    /// The expected count of each piece in the words, and the log-likelihood of the words (the E step).
    private func expectations() -> (counts: [Double], likelihood: Double) {
        let (trie, scores, words) = (trie, pieces.map(\.score), words)
        let threads = min(max(1, trainer.threads ?? Processors.availableCores()), UnigramTrainer.portions)
        let results = PortionResults(threads, pieces.count)
        // As many portions at a time as there are threads, so that few sums are in memory.
        for first in stride(from: 0, to: UnigramTrainer.portions, by: threads) {
            let count = min(threads, UnigramTrainer.portions - first)
            Threads.run(count) { thread in
                let start = words.count * (first + thread) / UnigramTrainer.portions
                let end = words.count * (first + thread + 1) / UnigramTrainer.portions
                var sums = [Double](repeating: 0, count: scores.count)
                var likelihood = 0.0
                var lattice = ForwardBackward()
                for index in start..<end {
                    likelihood += lattice.run(words.word(index), trie, scores, Double(words.times(index)), &sums)
                }
                results.set(thread, sums, likelihood)
            }
            results.add(count)
            memory.look()
        }
        return results.total
    }

    /// New scores from expected counts, by the digamma rule that favours few pieces; pieces hardly ever expected go.
    private mutating func maximize(_ counts: [Double]) {
        var kept: [(piece: [UInt8], count: Double)] = []
        for (index, entry) in pieces.enumerated() where counts[index] >= 0.5 || alphabet.contains(entry.piece) {
            kept.append((entry.piece, max(counts[index], 1e-3)))
        }
        let total = UnigramTrainer.digamma(kept.reduce(0) { $0 + $1.count })
        pieces = kept.map { ($0.piece, UnigramTrainer.digamma($0.count) - total) }
    }

    /// The digamma function ψ(x), by recurrence to x ≥ 7 and the asymptotic series.
    private static func digamma(_ x: Double) -> Double {
        var (x, result) = (x, 0.0)
        while x < 7 {
            result -= 1 / x
            x += 1
        }
        x -= 0.5
        let inverse = 1 / (x * x)
        return result + log(x) + inverse * (1 / 24.0 - inverse * (7 / 960.0 - inverse * 31 / 8064.0))
    }

    // MARK: Pruning

    /// Keeps `size` pieces: all scalars, and those whose absence would cost most.
    private mutating func prune(to size: Int) {
        let trie = trie
        let scores = pieces.map(\.score)
        var usage = [Double](repeating: 0, count: pieces.count)
        var lattice = ForwardBackward()
        for index in 0..<words.count {
            memory.breathe()
            for piece in lattice.best(words.word(index), trie, scores, without: -1) {
                usage[Int(piece)] += Double(words.times(index))
            }
        }
        let total = usage.reduce(0, +)
        var losses: [(index: Int, loss: Double)] = []
        for (index, entry) in pieces.enumerated() where !alphabet.contains(entry.piece) {
            guard usage[index] > 0 else { continue }
            // The piece would be spelled by the best way without it.
            let others = lattice.best(entry.piece, trie, scores, without: Int32(index))
            guard !others.isEmpty else {
                losses.append((index, .infinity))
                continue
            }
            let newTotal = total + usage[index] * Double(others.count - 1)
            let spelled = others.reduce(0.0) { $0 + log(usage[Int($1)] + usage[index]) - log(newTotal) }
            losses.append((index, usage[index] / total * (log(usage[index]) - log(total) - spelled)))
        }
        losses.sort { $0.loss != $1.loss ? $0.loss > $1.loss : $0.index < $1.index }
        let room = max(0, size - alphabet.count)
        let kept = Set(losses.prefix(room).map(\.index))
        pieces = pieces.enumerated().filter { kept.contains($0) || alphabet.contains($1.piece) }.map(\.element)
    }

    // MARK: The tokenizer

    private func finish(_ wanted: Int, _ specials: [[UInt8]]) -> Tokenizer {
        let required = pieces.filter { alphabet.contains($0.piece) }
        var others = pieces.filter { !alphabet.contains($0.piece) && !specials.contains($0.piece) }
        others.sort { $0.score != $1.score ? $0.score > $1.score : $0.piece.lexicographicallyPrecedes($1.piece) }
        var all = required + others.prefix(max(0, wanted - required.count))
        all.sort { $0.score != $1.score ? $0.score > $1.score : $0.piece.lexicographicallyPrecedes($1.piece) }
        let tokens = specials + all.map(\.piece)
        let vocabulary = Vocabulary(tokens)
        var parts = Tokenizer.Parts(
            model: UnigramModel(
                vocabulary: vocabulary, scores: specials.map { _ in 0.0 } + all.map(\.score),
                unknown: trainer.recipe.unknownToken.flatMap { vocabulary.id(of: $0) },
                fallsBackToBytes: trainer.fallsBackToBytes))
        parts.normalizer = trainer.recipe.normalizer
        parts.preTokenizer = trainer.recipe.preTokenizer
        parts.decoder = trainer.recipe.decoder
        parts.addedTokens = trainer.recipe.addedTokens(vocabulary)
        parts.specialTokens = SpecialTokens(guessedFrom: parts.addedTokens)
        return Tokenizer(parts)
    }
}

/// The expected counts of portions of the words, added in their order.
private final class PortionResults: Sendable {
    /// The counts of each thread's portion, and of those that are added already.
    private struct State {
        var portions: [(sums: [Double], likelihood: Double)]
        var total: (counts: [Double], likelihood: Double)
    }

    private let state: Mutex<State>

    init(_ threads: Int, _ pieces: Int) {
        state = Mutex(
            State(
                portions: Array(repeating: ([], 0), count: threads),
                total: ([Double](repeating: 0, count: pieces), 0)))
    }

    var total: (counts: [Double], likelihood: Double) { state.withLock { $0.total } }

    func set(_ thread: Int, _ sums: [Double], _ likelihood: Double) {
        state.withLock { $0.portions[thread] = (sums, likelihood) }
    }

    /// Adds what the first `count` threads have found.
    func add(_ count: Int) {
        state.withLock { state in
            for thread in 0..<count {
                let (sums, likelihood) = state.portions[thread]
                state.portions[thread] = ([], 0)
                for (piece, sum) in sums.enumerated() where sum != 0 { state.total.counts[piece] += sum }
                state.total.likelihood += likelihood
            }
        }
    }
}

/// Sums over all cuts of a word, forward and backward, and the best cut.
private struct ForwardBackward {
    private var edges: [(start: Int, end: Int, piece: Int32)] = []
    private var forward: [Double] = []
    private var backward: [Double] = []

    private mutating func findEdges(_ word: [UInt8], _ trie: ByteTrie) {
        edges.removeAll(keepingCapacity: true)
        let bytes = word.span
        var start = 0
        while start < word.count {
            var node = ByteTrie.root
            var index = start
            while index < word.count {
                node = trie.step(node, bytes[index])
                guard node >= 0 else { break }
                index += 1
                if trie.value(node) >= 0 { edges.append((start, index, trie.value(node))) }
            }
            start += bytes.scalar(at: start).length
        }
    }

    private static func add(_ a: Double, _ b: Double) -> Double {
        let (low, high) = (min(a, b), max(a, b))
        return low == -.infinity ? high : high + log1p(exp(low - high))
    }

    /// Adds the expected count of each piece in `count` times the word to `sums`.
    ///
    /// - Returns: the log-likelihood; 0 for a word that the pieces cannot spell.
    mutating func run(
        _ word: [UInt8], _ trie: ByteTrie, _ scores: [Double], _ count: Double, _ sums: inout [Double]
    ) -> Double {
        findEdges(word, trie)
        forward = [Double](repeating: -.infinity, count: word.count + 1)
        backward = forward
        (forward[0], backward[word.count]) = (0, 0)
        for edge in edges {
            forward[edge.end] = ForwardBackward.add(forward[edge.end], forward[edge.start] + scores[Int(edge.piece)])
        }
        for edge in edges.reversed() {
            backward[edge.start] = ForwardBackward.add(
                backward[edge.start], backward[edge.end] + scores[Int(edge.piece)])
        }
        let whole = forward[word.count]
        guard whole > -.infinity else { return 0 }
        for edge in edges {
            let share = exp(forward[edge.start] + scores[Int(edge.piece)] + backward[edge.end] - whole)
            if share > 0 { sums[Int(edge.piece)] += share * count }
        }
        return whole * count
    }

    /// The pieces of the best cut that does not use `excluded`; none when there is no cut.
    mutating func best(_ word: [UInt8], _ trie: ByteTrie, _ scores: [Double], without excluded: Int32) -> [Int32] {
        findEdges(word, trie)
        var reached = [(score: Double, edge: Int)](repeating: (-.infinity, -1), count: word.count + 1)
        reached[0].score = 0
        for (index, edge) in edges.enumerated() where edge.piece != excluded {
            let score = reached[edge.start].score + scores[Int(edge.piece)]
            if score > reached[edge.end].score { reached[edge.end] = (score, index) }
        }
        var result: [Int32] = []
        var end = word.count
        while end > 0, reached[end].edge >= 0 {
            let edge = edges[reached[end].edge]
            result.append(edge.piece)
            end = edge.start
        }
        return end == 0 ? result.reversed() : []
    }
}
