/// A byte-pair merger: it merges the symbols of one word, lowest rank first, leftmost among equals, until no pair is
/// left (Sennrich et al. 2016).
///
/// Short words scan all ranks for each merge; long ones keep the candidate pairs in a binary heap; very long ones go
/// through windows, so that their cost stays proportional to their length.
struct PairMerger {
    private static let shortWord = 40
    private static let window = 1024
    private static let longestSample = 256

    /// The symbols of the word, and where each ends in its bytes.
    private(set) var ids: [Int32] = []
    private(set) var ends: [Int32] = []
    private var previous: [Int32] = []
    private var next: [Int32] = []
    /// Candidate pairs: rank in the upper half, position in the lower, so ordered as merges are.
    private var heap: [UInt64] = []

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
        if ids.count <= PairMerger.shortWord {
            mergeShort(table)
        } else if ids.count <= PairMerger.window {
            mergeLong(table)
        } else {
            mergeInWindows(table)
        }
    }

    /// Merges, leaving out each candidate merge with the probability that `sampling` holds (BPE-dropout, Provilkov et
    /// al. 2020).
    mutating func run(_ table: MergeTable, dropping sampling: inout SubwordSampling) {
        guard ids.count > PairMerger.longestSample else { return sample(table, &sampling) }
        // The cost of a draw is quadratic: long words are cut.
        let (symbols, places) = (ids, ends)
        var drawn: [(id: Int32, end: Int32)] = []
        for start in stride(from: 0, to: symbols.count, by: PairMerger.longestSample) {
            let range = start..<min(start + PairMerger.longestSample, symbols.count)
            (ids, ends) = (Array(symbols[range]), Array(places[range]))
            sample(table, &sampling)
            drawn += zip(ids, ends).map { ($0, $1) }
        }
        (ids, ends) = (drawn.map(\.id), drawn.map(\.end))
    }

    private mutating func sample(_ table: MergeTable, _ sampling: inout SubwordSampling) {
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
        previous.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        for position in 0..<Int32(count) {
            previous.append(position - 1)
            next.append(position + 1)
        }
        heap.removeAll(keepingCapacity: true)
        for position in 0..<(count - 1) {
            if let merge = table.find(ids[position], ids[position + 1]) {
                heap.append(UInt64(merge.rank) << 32 | UInt64(position))
            }
        }
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(parent) }
        while let candidate = popLowest() {
            let left = Int(UInt32(truncatingIfNeeded: candidate))
            let right = Int(next[left])
            // A symbol that was merged away is marked by -1; a pair that has changed since has another rank.
            guard ids[left] != -1, right < count, let merge = table.find(ids[left], ids[right]),
                UInt64(merge.rank) == candidate >> 32
            else { continue }
            ids[left] = merge.id
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

    private mutating func push(at left: Int, _ right: Int, _ table: MergeTable) {
        guard let merge = table.find(ids[left], ids[right]) else { return }
        heap.append(UInt64(merge.rank) << 32 | UInt64(left))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func popLowest() -> UInt64? {
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
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }

    // MARK: Windows

    /// Merges window after window, and joins what they give where that is what the whole word would give.
    ///
    /// A sequence of tokens is the result for the whole just when each token is the result for its own symbols and each
    /// two neighbours are the result for theirs together: a merge over a boundary would be the first such merge in the
    /// pair's own run too. Within a window both hold; so only the two tokens at a joint are merged again, and where
    /// they do not stay apart the joint moves back.
    private mutating func mergeInWindows(_ table: MergeTable) {
        let (symbols, places) = (ids, ends)
        var tokens: [(id: Int32, start: Int, end: Int)] = []
        var start = 0
        var retreats = 0
        while start < symbols.count {
            let end = min(start + PairMerger.window, symbols.count)
            merge(symbols, start..<end, table)
            let (merged, counts) = (ids, ends)
            if let last = tokens.last,
                !staysApart(symbols, last.start, start, start + Int(counts[0]), last.id, merged[0], table)
            {
                retreats += 1
                guard retreats < 256 else {
                    (ids, ends) = (symbols, places)
                    return mergeLong(table)
                }
                tokens.removeLast()
                start = last.start
                continue
            }
            let limit = end == symbols.count ? end : start + PairMerger.window * 3 / 4
            var first = start
            for (id, count) in zip(merged, counts) {
                let last = start + Int(count)
                guard last <= limit || first == start else { break }
                tokens.append((id, first, last))
                first = last
            }
            start = first
        }
        reset()
        for token in tokens { append(token.id, end: Int(places[token.end - 1])) }
    }

    /// Merges a range of `symbols`; ends count symbols from the range's beginning.
    private mutating func merge(_ symbols: [Int32], _ range: Range<Int>, _ table: MergeTable) {
        ids = Array(symbols[range])
        ends = (0..<range.count).map { Int32($0 + 1) }
        if ids.count > 1 { mergeLong(table) }
    }

    /// Returns whether the symbols from `start` to `end` merge to the two tokens that meet at `joint`.
    private mutating func staysApart(
        _ symbols: [Int32], _ start: Int, _ joint: Int, _ end: Int, _ left: Int32, _ right: Int32, _ table: MergeTable
    ) -> Bool {
        merge(symbols, start..<end, table)
        return ids == [left, right] && Int(ends[0]) == joint - start
    }
}
