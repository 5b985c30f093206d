/// How often each word occurs: an open-addressed table over bytes end to end, with 64-bit counts.
struct WordCounter: Sendable {
    private struct Slot: BitwiseCopyable {
        var hash: UInt32 = 0
        var word: Int32 = -1
    }

    private(set) var bytes: [UInt8] = []
    private var starts: [Int] = [0]
    private(set) var counts: [Int64] = []
    private var slots = [Slot](repeating: Slot(), count: 1 << 12)

    var count: Int { counts.count }

    /// The memory that the table takes.
    var memory: Int { bytes.capacity + starts.capacity * 8 + counts.capacity * 8 + slots.count * 8 }

    func range(_ word: Int) -> Range<Int> { starts[word]..<starts[word + 1] }

    /// Counts `word` `times` more.
    mutating func add(_ word: Span<UInt8>, times: Int64 = 1) {
        let hash = UInt32(truncatingIfNeeded: ByteHash.hash(word, seed: ByteHash.seed))
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot].word >= 0 {
            if slots[slot].hash == hash, isWord(Int(slots[slot].word), word) {
                counts[Int(slots[slot].word)] += times
                return
            }
            slot = (slot + 1) & mask
        }
        slots[slot] = Slot(hash: hash, word: Int32(counts.count))
        unsafe word.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        starts.append(bytes.count)
        counts.append(times)
        if counts.count * 2 > slots.count { grow() }
    }

    private func isWord(_ index: Int, _ word: Span<UInt8>) -> Bool {
        let start = starts[index]
        guard starts[index + 1] - start == word.count else { return false }
        for offset in 0..<word.count where bytes[start + offset] != word[offset] { return false }
        return true
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](repeating: Slot(), count: old.count * 2)
        let mask = slots.count - 1
        for entry in old where entry.word >= 0 {
            var slot = Int(truncatingIfNeeded: entry.hash) & mask
            while slots[slot].word >= 0 { slot = (slot + 1) & mask }
            slots[slot] = entry
        }
    }

    /// The words in the order of their bytes, so that what follows does not depend on the order in which they were met.
    var order: [Int] {
        let span = bytes.span
        return (0..<count).sorted { first, second in
            let (a, b) = (range(first), range(second))
            for offset in 0..<min(a.count, b.count) {
                let (x, y) = (span[a.lowerBound + offset], span[b.lowerBound + offset])
                if x != y { return x < y }
            }
            return a.count < b.count
        }
    }
}
