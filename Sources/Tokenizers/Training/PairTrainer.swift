/// A trainer of byte-pair merges from counted words (Sennrich et al. 2016): again and again the pair that occurs most
/// becomes a symbol; of equally frequent pairs the one with the smaller ids, as in Hugging Face's trainer.
///
/// All that grows with the text lies flat in ``MappedArray``s: the symbols of the words end to end, a table of pairs
/// with their counts, chains of the words that hold each pair, a heap of candidates.
struct PairTrainer: ~Copyable {
    struct Candidate: BitwiseCopyable {
        var count: Int64
        let pair: UInt64

        /// Returns whether this one is taken before `other`.
        @inline(__always)
        func precedes(_ other: Candidate) -> Bool { count != other.count ? count > other.count : pair < other.pair }
    }

    private struct Word: BitwiseCopyable {
        let count: Int64
        let start: UInt32
        /// The number of symbols that are left of it; a word shrinks in its place.
        var length: Int32
    }

    /// Every symbol by id, as text.
    private(set) var symbols: [[UInt8]]
    private(set) var merges: [(left: Int32, right: Int32, id: Int32)] = []
    private var ids: [[UInt8]: Int32] = [:]
    private let memory: TrainingMemory
    private var text: MappedArray<Int32>
    private var words: MappedArray<Word>
    private var pairs: PairTable
    private var heap: CandidateHeap
    /// The prefix of all symbols but a word's first (`##` of WordPiece).
    private let prefix: [UInt8]
    /// True where the first symbols are bytes, not scalars.
    private let isByteLevel: Bool
    /// The pairs that a merge made more of, each more than once until there are too many.
    private var grown: [UInt64] = []
    private var mostGrown = PairTrainer.portion
    private var found: [Int32] = []

    /// The number of words of a pair that are merged at a time.
    private static let portion = 1 << 17

    /// - Parameter symbols: The first symbols, special tokens among them, by id.
    init(symbols: [[UInt8]], prefix: [UInt8], isByteLevel: Bool, memory: TrainingMemory) throws(TrainingError) {
        self.symbols = symbols
        self.prefix = prefix
        self.isByteLevel = isByteLevel
        self.memory = memory
        text = MappedArray(memory)
        words = MappedArray(memory)
        pairs = try PairTable(memory)
        heap = CandidateHeap(memory)
        for (id, symbol) in symbols.enumerated() { ids[symbol] = Int32(id) }
    }

    /// The id of a symbol, a new one if it is new.
    private mutating func id(_ symbol: [UInt8]) -> Int32 {
        if let id = ids[symbol] { return id }
        let id = Int32(symbols.count)
        symbols.append(symbol)
        ids[symbol] = id
        return id
    }

    /// Takes in a word; symbols that are not known are left out.
    mutating func add(_ word: Span<UInt8>, count: Int64) throws(TrainingError) {
        let first = text.count
        var index = 0
        while index < word.count {
            let length = isByteLevel ? 1 : word.scalar(at: index).length
            let symbol = (index..<(index + length)).map { word[$0] }
            if let plain = ids[symbol] {
                try text.append(index == 0 || prefix.isEmpty ? plain : id(prefix + symbol))
            }
            index += length
        }
        guard let start = UInt32(exactly: first) else { throw .tooManyWords }
        try words.append(Word(count: count, start: start, length: Int32(text.count - first)))
        memory.breathe()
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Merges until there are `size` symbols, or no pair occurs `least` times.
    ///
    /// - Parameter longest: The longest symbol, in scalars, or in bytes where the first symbols are bytes.
    /// - Returns: false when `progress` stopped it.
    mutating func train(
        to size: Int, least: Int64, longest: Int = .max, progress: (Int, Int) -> Bool
    ) throws(TrainingError) -> Bool {
        for word in 0..<words.count { try count(Int32(word)) }
        for slot in 0..<pairs.capacity {
            memory.breathe()
            if let (key, count) = pairs.entry(slot) { try heap.append(Candidate(count: count, pair: key)) }
        }
        heap.order()
        while symbols.count < size, var top = heap.first {
            memory.breathe()
            let current = pairs.count(top.pair)
            if top.count != current {
                // The pair has become rarer since; it goes back to where it belongs.
                top.count = current
                heap.replaceFirst(top)
                continue
            }
            guard top.count >= max(least, 1) else { break }
            heap.removeFirst()
            let (left, right) = (Int32(truncatingIfNeeded: top.pair >> 32), Int32(truncatingIfNeeded: top.pair))
            let joined = symbols[Int(left)] + symbols[Int(right)].dropFirst(prefix.count)
            if longest < .max, length(joined) > longest { continue }
            let new = id(joined)
            merges.append((left, right, new))
            try merge(top.pair, left, right, new)
            if merges.count % 256 == 0, !progress(symbols.count, size) { return false }
        }
        return true
    }

    private func length(_ symbol: [UInt8]) -> Int {
        let text = symbol.starts(with: prefix) ? symbol.dropFirst(prefix.count) : symbol[...]
        return isByteLevel ? text.count : text.count { $0 & 0xC0 != 0x80 }
    }

    private mutating func count(_ word: Int32) throws(TrainingError) {
        let entry = words[Int(word)]
        for position in stride(from: Int(entry.start), to: Int(entry.start) + Int(entry.length) - 1, by: 1) {
            try pairs.add(PairTrainer.key(text[position], text[position + 1]), entry.count, word)
        }
        memory.breathe()
    }

    private mutating func merge(_ pair: UInt64, _ left: Int32, _ right: Int32, _ new: Int32) throws(TrainingError) {
        grown.removeAll(keepingCapacity: true)
        var words = pairs.detach(pair)
        while words > 0 {
            pairs.take(&words, into: &found, limit: PairTrainer.portion)
            found.sort()
            var last: Int32 = -1
            for word in found where word != last {
                last = word
                try merge(in: word, left, right, new)
                memory.breathe()
            }
        }
        sortGrown()
        for key in grown {
            let count = pairs.count(key)
            if count > 0 { try heap.push(Candidate(count: count, pair: key)) }
            memory.breathe()
        }
    }

    /// Each pair once, in order.
    private mutating func sortGrown() {
        grown.sort()
        var kept = 0
        for index in grown.indices where kept == 0 || grown[index] != grown[kept - 1] {
            grown[kept] = grown[index]
            kept += 1
        }
        grown.removeLast(grown.count - kept)
        mostGrown = max(PairTrainer.portion, 2 * kept)
    }

    /// Replaces the pair in one word from left to right, and counts what changes around it.
    private mutating func merge(in word: Int32, _ left: Int32, _ right: Int32, _ new: Int32) throws(TrainingError) {
        let entry = words[Int(word)]
        let (start, times) = (Int(entry.start), entry.count)
        var (read, write) = (start, start)
        let end = start + Int(entry.length)
        while read < end {
            guard read + 1 < end, text[read] == left, text[read + 1] == right else {
                text[write] = text[read]
                read += 1
                write += 1
                continue
            }
            if write > start {
                pairs.subtract(PairTrainer.key(text[write - 1], left), times)
                try grow(text[write - 1], new, times, word)
            }
            if read + 2 < end {
                pairs.subtract(PairTrainer.key(right, text[read + 2]), times)
                // The same pair again right behind is joined next, and counted then.
                try grow(new, text[read + 2], times, word)
            }
            text[write] = new
            read += 2
            write += 1
        }
        words.update(Int(word)) { $0.length = Int32(write - start) }
    }

    private mutating func grow(_ left: Int32, _ right: Int32, _ times: Int64, _ word: Int32) throws(TrainingError) {
        let key = PairTrainer.key(left, right)
        try pairs.add(key, times, word)
        if grown.last != key { grown.append(key) }
        if grown.count > mostGrown { sortGrown() }
    }
}

/// The candidates as a binary heap, the next to be taken first.
private struct CandidateHeap: ~Copyable {
    private let memory: TrainingMemory
    private var elements: MappedArray<PairTrainer.Candidate>

    init(_ memory: TrainingMemory) {
        self.memory = memory
        elements = MappedArray(memory)
    }

    var first: PairTrainer.Candidate? { elements.count > 0 ? elements[0] : nil }

    /// Appends without order; ``order()`` follows.
    mutating func append(_ candidate: PairTrainer.Candidate) throws(TrainingError) { try elements.append(candidate) }

    mutating func order() {
        for parent in stride(from: elements.count / 2 - 1, through: 0, by: -1) {
            siftDown(parent)
            memory.breathe()
        }
    }

    mutating func push(_ candidate: PairTrainer.Candidate) throws(TrainingError) {
        try elements.append(candidate)
        var child = elements.count - 1
        while child > 0, candidate.precedes(elements[(child - 1) / 2]) {
            elements[child] = elements[(child - 1) / 2]
            child = (child - 1) / 2
        }
        elements[child] = candidate
    }

    mutating func replaceFirst(_ candidate: PairTrainer.Candidate) {
        elements[0] = candidate
        siftDown(0)
    }

    mutating func removeFirst() {
        let last = elements[elements.count - 1]
        elements.removeLast()
        if elements.count > 0 { replaceFirst(last) }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        let moved = elements[start]
        while 2 * parent + 1 < elements.count {
            var child = 2 * parent + 1
            if child + 1 < elements.count, elements[child + 1].precedes(elements[child]) { child += 1 }
            guard elements[child].precedes(moved) else { break }
            elements[parent] = elements[child]
            parent = child
        }
        elements[parent] = moved
    }
}
