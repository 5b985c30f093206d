/// Merges the symbols of one word, lowest rank first, leftmost among equals, until no pair is left (Sennrich et al. 2016).
///
/// Short words scan all ranks for each merge; long ones keep the candidate pairs in a binary heap, so that a word of n symbols
/// costs n·log n.
struct PairMerger {
    private static let shortWord = 40

    /// The symbols of the word, and where each ends in its bytes.
    private(set) var ids: [Int32] = []
    private(set) var ends: [Int32] = []
    private var previous: [Int32] = []
    private var next: [Int32] = []
    private var heap: [Candidate] = []

    private struct Candidate: BitwiseCopyable {
        /// Rank in the upper half, position in the lower: ordered as merges are.
        let order: UInt64
        let left: Int32
        let right: Int32
        let id: Int32
    }

    mutating func reset() {
        ids.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }

    @inline(__always)
    mutating func append(_ id: Int32, end: Int) {
        ids.append(id)
        ends.append(Int32(truncatingIfNeeded: end))
    }

    /// Appends the symbols that are left as tokens.
    func take(into output: inout TokenOutput) {
        output.ids.append(contentsOf: ids)
        var start = 0
        for end in ends {
            output.spans.append(Piece(start, Int(end)))
            start = Int(end)
        }
    }

    /// Merges what was appended since ``reset()``.
    mutating func run(_ table: MergeTable) {
        if ids.count <= PairMerger.shortWord { mergeShort(table) } else { mergeLong(table) }
    }

    /// Merges, leaving out each candidate merge with the probability that `sampling` holds (BPE-dropout, Provilkov et al. 2020).
    mutating func run(_ table: MergeTable, dropping sampling: inout SubwordSampling) {
        while ids.count > 1 {
            var best: (order: UInt64, position: Int, id: Int32)?
            for position in 0..<(ids.count - 1) {
                guard let merge = table.find(ids[position], ids[position + 1]), !sampling.dropsMerge() else { continue }
                let order = UInt64(merge.rank) << 32 | UInt64(position)
                if best.map({ order < $0.order }) ?? true { best = (order, position, merge.id) }
            }
            guard let best else { return }
            ids[best.position] = best.id
            ends[best.position] = ends[best.position + 1]
            ids.remove(at: best.position + 1)
            ends.remove(at: best.position + 1)
        }
    }

    private mutating func mergeShort(_ table: MergeTable) {
        var count = ids.count
        guard count > 1 else { return }
        // On the stack: no look at a reference count in the loops.
        var symbols = InlineArray<40, Int32>(repeating: 0)
        var places = InlineArray<40, Int32>(repeating: 0)
        var ranks = InlineArray<40, UInt32>(repeating: .max)
        var merged = InlineArray<40, Int32>(repeating: 0)
        for position in 0..<count {
            symbols[position] = ids[position]
            places[position] = ends[position]
        }
        for position in 0..<(count - 1) {
            guard let merge = table.find(symbols[position], symbols[position + 1]) else { continue }
            (ranks[position], merged[position]) = (merge.rank, merge.id)
        }
        while count > 1 {
            var (best, at) = (UInt32.max, 0)
            for position in 0..<(count - 1) where ranks[position] < best { (best, at) = (ranks[position], position) }
            guard best != .max else { break }
            symbols[at] = merged[at]
            places[at] = places[at + 1]
            for position in stride(from: at + 1, to: count - 1, by: 1) {
                symbols[position] = symbols[position + 1]
                places[position] = places[position + 1]
                ranks[position] = ranks[position + 1]
                merged[position] = merged[position + 1]
            }
            count -= 1
            ranks[count - 1] = .max
            if at > 0 {
                let merge = table.find(symbols[at - 1], symbols[at])
                (ranks[at - 1], merged[at - 1]) = (merge?.rank ?? .max, merge?.id ?? 0)
            }
            if at < count - 1 {
                let merge = table.find(symbols[at], symbols[at + 1])
                (ranks[at], merged[at]) = (merge?.rank ?? .max, merge?.id ?? 0)
            }
        }
        reset()
        for position in 0..<count { append(symbols[position], end: Int(places[position])) }
    }

    private mutating func mergeLong(_ table: MergeTable) {
        let count = ids.count
        previous = (0..<count).map { Int32($0 - 1) }
        next = (0..<count).map { Int32($0 + 1) }
        heap.removeAll(keepingCapacity: true)
        for position in 0..<(count - 1) {
            if let merge = table.find(ids[position], ids[position + 1]) {
                heap.append(candidate(merge, at: position))
            }
        }
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(parent) }
        while let candidate = popLowest() {
            let left = Int(UInt32(truncatingIfNeeded: candidate.order))
            let right = Int(next[left])
            // Symbols that were merged away since are marked by -1; a pair that has changed has another candidate.
            guard right < count, ids[left] == candidate.left, ids[right] == candidate.right else { continue }
            ids[left] = candidate.id
            ends[left] = ends[right]
            ids[right] = -1
            next[left] = next[right]
            if Int(next[left]) < count { previous[Int(next[left])] = Int32(left) }
            if previous[left] >= 0 { push(at: Int(previous[left]), left, table) }
            if Int(next[left]) < count { push(at: left, Int(next[left]), table) }
        }
        var kept = 0
        for position in 0..<count where ids[position] != -1 {
            ids[kept] = ids[position]
            ends[kept] = ends[position]
            kept += 1
        }
        ids.removeLast(count - kept)
        ends.removeLast(count - kept)
    }

    private func candidate(_ merge: MergeTable.Merge, at left: Int) -> Candidate {
        candidate(merge, at: left, left + 1)
    }

    @inline(__always)
    private func candidate(_ merge: MergeTable.Merge, at left: Int, _ right: Int) -> Candidate {
        Candidate(
            order: UInt64(merge.rank) << 32 | UInt64(left), left: ids[left], right: ids[right], id: merge.id)
    }

    private mutating func push(at left: Int, _ right: Int, _ table: MergeTable) {
        guard let merge = table.find(ids[left], ids[right]) else { return }
        heap.append(candidate(merge, at: left, right))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].order < heap[parent].order else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func popLowest() -> Candidate? {
        guard let lowest = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
        return lowest
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1].order < heap[child].order { child += 1 }
            guard heap[child].order < heap[parent].order else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
