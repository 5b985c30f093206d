/// Unigram: the cut of a text into pieces whose log-probabilities sum highest (Kudo 2018), found left to right.
///
/// Two references, two roundings: Hugging Face sums doubles, SentencePiece rounds each sum to a float; ties go to the
/// piece that was found first, which is the one that begins further left.
struct UnigramModel: TokenModel {
    /// The rules that are peculiar to SentencePiece's own files.
    struct SentencePieceRules: Sendable {
        /// Pieces that win wherever they stand: whatever score the file gives them, the library takes 0.1 for each byte
        /// but the first.
        let isUserDefined: [Bool]
        let isUnused: [Bool]
    }

    static let unknownPenalty = 10.0

    let vocabulary: Vocabulary
    let scores: FrozenArray<Double>
    let unknown: Int32?
    let fallsBackToBytes: Bool
    let rules: SentencePieceRules?
    private let trie: ByteTrie
    private let byteTokens: [Int32]
    private let unknownScore: Double
    /// The score of each token where it is chosen: for SentencePiece that of an unknown scalar under the unknown
    /// token's id.
    let pieceScores: FrozenArray<Double>
    let joints: PieceJoints?

    /// - Parameters:
    ///   - isPiece: Whether an id can be found in text.
    ///   - rules: For a file of SentencePiece's; nil for Hugging Face's rules.
    init(
        vocabulary: Vocabulary, scores: [Double], unknown: Int32?, fallsBackToBytes: Bool,
        isPiece: (Int) -> Bool = { _ in true }, rules: SentencePieceRules? = nil
    ) {
        self.vocabulary = vocabulary
        self.scores = FrozenArray(scores)
        let scores = rules == nil ? scores.map(ReferenceNumber.read) : scores
        self.unknown = unknown
        self.fallsBackToBytes = fallsBackToBytes
        self.rules = rules
        byteTokens = ByteTokens.ids(in: vocabulary)
        let entries = vocabulary.tokens.enumerated().compactMap { id, token -> (key: [UInt8], value: Int32)? in
            guard let token, isPiece(id), !(rules?.isUnused[id] ?? false) else { return nil }
            return (token, Int32(id))
        }
        // Of two equal pieces the later one stands, as in the reference's map.
        var last: [[UInt8]: Int32] = [:]
        for entry in entries { last[entry.key] = entry.value }
        trie = ByteTrie(last.map { (key: $0.key, value: $0.value) })
        let known = scores.indices.filter { id in
            guard let rules else { return true }
            return isPiece(id) && !rules.isUserDefined[id] && !rules.isUnused[id]
        }
        let lowest = known.map { scores[$0] }.min() ?? 0
        unknownScore =
            rules == nil
            ? lowest - UnigramModel.unknownPenalty : Double(Float(lowest) - Float(UnigramModel.unknownPenalty))
        joints = PieceJoints(last.keys, isToken: { last[$0] != nil })
        pieceScores = FrozenArray(
            scores.indices.map { [unknownScore] id in
                if rules != nil, id == unknown.map(Int.init) { return unknownScore }
                guard let rules, rules.isUserDefined[id] else { return scores[id] }
                return Double(Float(0.1) * Float(vocabulary.token(id).count - 1))
            })
    }

    func tokenize(
        _ word: Span<UInt8>, _ workspace: inout ModelWorkspace, into output: inout TokenOutput
    ) throws(TokenizerError) {
        workspace.lattice.reset(word.count)
        if workspace.sampling != nil {
            sample(word, &workspace)
        } else if rules == nil {
            search(word, &workspace.lattice, rounds: false)
        } else {
            search(word, &workspace.lattice, rounds: true)
        }
        _ = workspace.lattice.trace()
        try emit(word, workspace.lattice.path, into: &output)
    }

    /// Viterbi's search: the best way to each place, from left to right.
    @inline(__always)
    func search(_ word: Span<UInt8>, _ lattice: inout UnigramLattice, rounds: Bool) {
        let unknownID = unknown ?? -1
        var nodes = lattice.nodes.mutableSpan
        var start = 0
        while start < word.count {
            let length = word.scalar(at: start).length
            let before = nodes[start].score
            var node = ByteTrie.root
            var index = start
            var hasSingle = false
            while index < word.count {
                node = trie.step(node, word[index])
                guard node >= 0 else { break }
                index += 1
                let id = trie.value(node)
                guard id >= 0 else { continue }
                nodes[index].offer(pieceScores[Int(id)] + before, id, from: start, rounds: rounds)
                if index == start + length { hasSingle = true }
            }
            if !hasSingle {
                nodes[start + length].offer(unknownScore + before, unknownID, from: start, rounds: rounds)
            }
            start += length
        }
    }

    /// A token that ends at a place of a word: where it begins, and the logarithm of the weight of all cuts that end
    /// with it.
    private struct Edge {
        let start: Int
        let id: Int32
        let score: Double
    }

    /// Draws a cut with probability ∝ exp(smoothing · score): sums of the ways to each place forward, then a walk back.
    private func sample(_ word: Span<UInt8>, _ workspace: inout ModelWorkspace) {
        guard var sampling = workspace.sampling else { return }
        let (edges, totals) = weighedEdges(word, smoothing: sampling.smoothing)
        var end = word.count
        while end > 0 {
            var left = sampling.uniform()
            var chosen = edges[end][edges[end].count - 1]
            for edge in edges[end] {
                left -= UnigramModel.exponential(edge.score - totals[end])
                if left < 0 {
                    chosen = edge
                    break
                }
            }
            workspace.lattice.set(chosen.id, from: chosen.start, to: end)
            end = chosen.start
        }
        workspace.sampling = sampling
    }

    /// The tokens that end at each place of a word, and the logarithm of the weight of all cuts up to there.
    private func weighedEdges(_ word: Span<UInt8>, smoothing: Double) -> (edges: [[Edge]], totals: [Double]) {
        var edges = [[Edge]](repeating: [], count: word.count + 1)
        var totals = [Double](repeating: -.infinity, count: word.count + 1)
        totals[0] = 0
        var start = 0
        while start < word.count {
            let length = word.scalar(at: start).length
            var node = ByteTrie.root
            var index = start
            var hasSingle = false
            func add(_ id: Int32, _ end: Int, _ score: Double) {
                let score = totals[start] + smoothing * score
                edges[end].append(Edge(start: start, id: id, score: score))
                let (low, high) = (min(totals[end], score), max(totals[end], score))
                totals[end] =
                    high == -.infinity ? high : high + UnigramModel.logOnePlus(UnigramModel.exponential(low - high))
            }
            while index < word.count {
                node = trie.step(node, word[index])
                guard node >= 0 else { break }
                index += 1
                let id = trie.value(node)
                guard id >= 0 else { continue }
                add(id, index, pieceScores[Int(id)])
                if index == start + length { hasSingle = true }
            }
            if !hasSingle { add(unknown ?? -1, start + length, unknownScore) }
            start += length
        }
        return (edges, totals)
    }

    /// Appends the tokens of the path. Unknown pieces next to each other are one; they are spelled in bytes where that
    /// is allowed.
    func emit(
        _ word: Span<UInt8>, _ path: [UnigramLattice.Step], into output: inout TokenOutput
    ) throws(TokenizerError) {
        var index = 0
        let unknownID = unknown ?? -1
        while index < path.count {
            let step = path[index]
            index += 1
            guard step.id == unknownID else {
                output.append(step.id, step.start, step.end)
                continue
            }
            var end = step.end
            while index < path.count, path[index].id == unknownID {
                end = path[index].end
                index += 1
            }
            try emitUnknown(word, step.start, end, into: &output)
        }
    }

    private func emitUnknown(
        _ word: Span<UInt8>, _ start: Int, _ end: Int, into output: inout TokenOutput
    ) throws(TokenizerError) {
        // The reference looks the joined text up: it may spell a piece, of which it then takes the id.
        if rules == nil, let id = UnigramModel.lookUp(vocabulary, word.extracting(start..<end)) {
            return output.append(id, start, end)
        }
        if fallsBackToBytes, (start..<end).allSatisfy({ byteTokens[Int(word[$0])] >= 0 }) {
            for index in start..<end { output.append(byteTokens[Int(word[index])], start, end) }
            return
        }
        guard let unknown else {
            throw .unknownText(
                unsafe word.extracting(start..<end).withUnsafeBufferPointer {
                    unsafe String(decoding: $0, as: UTF8.self)
                },
                remedy: "the model has no unk_id; give it one")
        }
        output.append(unknown, start, end)
    }

    private static func lookUp(_ vocabulary: Vocabulary, _ piece: Span<UInt8>) -> Int32? {
        let id = vocabulary.find(piece)
        return id < 0 ? nil : id
    }
}

/// The Viterbi lattice: for each place in a text, the best piece that ends there.
struct UnigramLattice {
    struct Step {
        let id: Int32
        let start: Int
        let end: Int
    }

    struct Node: BitwiseCopyable {
        var score: Double
        /// The best score that lost here.
        var runnerUp: Double
        var id: Int32
        var start: Int32

        /// Takes the piece `id` from `start` if its sum is the best so far.
        @inline(__always)
        mutating func offer(_ offered: Double, _ id: Int32, from start: Int, rounds: Bool) {
            let offered = rounds ? Double(Float(offered)) : offered
            if self.start < 0 || offered > score {
                runnerUp = self.start < 0 ? -.infinity : score
                (score, self.id, self.start) = (offered, id, Int32(truncatingIfNeeded: start))
            } else if offered > runnerUp {
                runnerUp = offered
            }
        }
    }

    var nodes: [Node] = []
    /// The pieces of the best way to the end, in order, as ``trace()`` found them.
    private(set) var path: [Step] = []

    private static let empty = Node(score: 0, runnerUp: -.infinity, id: -1, start: -1)

    /// Prepares for a text of `count` bytes that comes after others with the sum `score`.
    mutating func reset(_ count: Int, _ score: Double = 0) {
        nodes.removeAll(keepingCapacity: true)
        nodes.append(contentsOf: repeatElement(UnigramLattice.empty, count: count + 1))
        nodes[0].score = score
    }

    func score(at place: Int) -> Double { nodes[place].score }

    mutating func set(_ id: Int32, from start: Int, to end: Int) {
        nodes[end] = Node(score: 0, runnerUp: -.infinity, id: id, start: Int32(truncatingIfNeeded: start))
    }

    /// Walks the best way back from the end, into ``path``.
    ///
    /// - Returns: the least by which one of its choices was won.
    mutating func trace() -> Double {
        path.removeAll(keepingCapacity: true)
        var margin = Double.infinity
        var end = nodes.count - 1
        while end > 0 {
            let node = nodes[end]
            path.append(Step(id: node.id, start: Int(node.start), end: end))
            margin = min(margin, node.score - node.runnerUp)
            end = Int(node.start)
        }
        path.reverse()
        return margin
    }
}
