/// Learns byte pair merges from counted words (Sennrich et al. 2016): again and again the pair that occurs most becomes a symbol;
/// of equally frequent pairs the one with the smaller ids, as in Hugging Face's trainer.
struct PairTrainer {
    private struct Candidate: BitwiseCopyable {
        var count: Int64
        let pair: UInt64

        /// Whether this one is taken before `other`.
        func precedes(_ other: Candidate) -> Bool { count != other.count ? count > other.count : pair < other.pair }
    }

    /// Where a pair occurs: how often, and in which words.
    private struct Occurrences {
        var count: Int64 = 0
        var words: [Int32] = []
    }

    /// Every symbol by id, as text.
    private(set) var symbols: [[UInt8]]
    private(set) var merges: [(left: Int32, right: Int32, id: Int32)] = []
    private var ids: [[UInt8]: Int32] = [:]
    /// The symbols of all words end to end; a word shrinks in its place.
    private var text: [Int32] = []
    private var starts: [Int32] = []
    private var lengths: [Int32] = []
    private var counts: [Int64] = []
    private var occurrences: [UInt64: Occurrences] = [:]
    private var heap: [Candidate] = []
    /// What all symbols but a word's first begin with (`##` of WordPiece).
    private let prefix: [UInt8]

    /// - Parameter symbols: The first symbols, special tokens among them, by id.
    init(symbols: [[UInt8]], prefix: [UInt8]) {
        self.symbols = symbols
        self.prefix = prefix
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

    /// Takes in a word of `symbols`; those that are not known are left out.
    mutating func add(_ word: [[UInt8]], count: Int64) {
        starts.append(Int32(text.count))
        for (index, symbol) in word.enumerated() {
            guard let plain = ids[symbol] else { continue }
            text.append(index == 0 || prefix.isEmpty ? plain : id(prefix + symbol))
        }
        lengths.append(Int32(text.count) - (starts.last ?? 0))
        counts.append(count)
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Merges until there are `size` symbols, or no pair occurs `least` times.
    ///
    /// - Returns: false when `progress` stopped it.
    mutating func train(to size: Int, least: Int64, longest: Int?, progress: (Int, Int) -> Bool) -> Bool {
        for word in starts.indices { count(Int32(word)) }
        heap = occurrences.map { Candidate(count: $0.value.count, pair: $0.key) }
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(parent) }
        while symbols.count < size, var top = heap.first {
            let current = occurrences[top.pair]?.count ?? 0
            if top.count != current {
                // The pair has become rarer since; it goes back to where it belongs.
                top.count = current
                heap[0] = top
                siftDown(0)
                continue
            }
            guard top.count >= max(least, 1) else { break }
            popFirst()
            let (left, right) = (Int32(truncatingIfNeeded: top.pair >> 32), Int32(truncatingIfNeeded: top.pair))
            let joined = symbols[Int(left)] + symbols[Int(right)].dropFirst(prefix.count)
            if let longest, joined.count > longest { continue }
            let new = id(joined)
            merges.append((left, right, new))
            merge(top.pair, left, right, new)
            if merges.count % 256 == 0, !progress(symbols.count, size) { return false }
        }
        return true
    }

    private mutating func count(_ word: Int32) {
        let (start, length) = (Int(starts[Int(word)]), Int(lengths[Int(word)]))
        for position in stride(from: start, to: start + length - 1, by: 1) {
            let key = PairTrainer.key(text[position], text[position + 1])
            occurrences[key, default: Occurrences()].count += counts[Int(word)]
            if occurrences[key]?.words.last != word { occurrences[key]?.words.append(word) }
        }
    }

    private mutating func merge(_ pair: UInt64, _ left: Int32, _ right: Int32, _ new: Int32) {
        guard let found = occurrences.removeValue(forKey: pair) else { return }
        var grown: Set<UInt64> = []
        var last: Int32 = -1
        for word in found.words.sorted() where word != last {
            last = word
            merge(in: word, left, right, new, &grown)
        }
        for key in grown.sorted() {
            if let count = occurrences[key]?.count, count > 0 { push(Candidate(count: count, pair: key)) }
        }
    }

    /// Replaces the pair in one word from left to right, and counts what changes around it.
    private mutating func merge(in word: Int32, _ left: Int32, _ right: Int32, _ new: Int32, _ grown: inout Set<UInt64>)
    {
        let (start, length, times) = (Int(starts[Int(word)]), Int(lengths[Int(word)]), counts[Int(word)])
        var (read, write) = (start, start)
        let end = start + length
        while read < end {
            guard read + 1 < end, text[read] == left, text[read + 1] == right else {
                text[write] = text[read]
                read += 1
                write += 1
                continue
            }
            if write > start {
                change(text[write - 1], left, -times, word, &grown)
                change(text[write - 1], new, times, word, &grown)
            }
            if read + 2 < end {
                change(right, text[read + 2], -times, word, &grown)
                // The same pair again right behind is joined next, and counted then.
                change(new, text[read + 2], times, word, &grown)
            }
            text[write] = new
            read += 2
            write += 1
        }
        lengths[Int(word)] = Int32(write - start)
    }

    private mutating func change(
        _ left: Int32, _ right: Int32, _ times: Int64, _ word: Int32, _ grown: inout Set<UInt64>
    ) {
        let key = PairTrainer.key(left, right)
        if times < 0 {
            occurrences[key]?.count += times
        } else {
            occurrences[key, default: Occurrences()].count += times
            if occurrences[key]?.words.last != word { occurrences[key]?.words.append(word) }
            grown.insert(key)
        }
    }

    private mutating func push(_ candidate: Candidate) {
        heap.append(candidate)
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func popFirst() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while 2 * parent + 1 < heap.count {
            var child = 2 * parent + 1
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(heap[parent]) else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
