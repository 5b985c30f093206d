import MartletPlatform

/// A counter of words: an open-addressed table over bytes end to end, with 64-bit counts.
///
/// Changed by one thread, then read by any number.
final class WordCounter: @unchecked Sendable {
    private struct Slot: BitwiseCopyable {
        var hash: UInt32
        /// The number of the word plus one; 0 for none.
        var word: Int32
    }

    private let bytes = PagedArray<UInt8>()
    private let starts = PagedArray<Int>()
    private let counts = PagedArray<Int64>()
    private var slots = PagedArray<Slot>(zeros: 1 << 12)

    init() { starts.append(0) }

    var count: Int { counts.count }

    /// The memory that the table takes.
    var memory: Int { bytes.memory + starts.memory + counts.memory + slots.memory }

    private func range(_ word: Int) -> Range<Int> { starts[word]..<starts[word + 1] }

    /// Counts `word` `times` more.
    func add(_ word: Span<UInt8>, times: Int64 = 1) {
        let hash = UInt32(truncatingIfNeeded: ByteHash.hash(word, seed: ByteHash.seed))
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while slots[slot].word > 0 {
            let found = Int(slots[slot].word) - 1
            if slots[slot].hash == hash, isWord(found, word) {
                counts[found] += times
                return
            }
            slot = (slot + 1) & mask
        }
        bytes.append(contentsOf: word)
        starts.append(bytes.count)
        counts.append(times)
        slots[slot] = Slot(hash: hash, word: Int32(counts.count))
        if counts.count * 2 > slots.count { grow() }
    }

    private func isWord(_ index: Int, _ word: Span<UInt8>) -> Bool {
        let start = starts[index]
        guard starts[index + 1] - start == word.count else { return false }
        for offset in 0..<word.count where bytes[start + offset] != word[offset] { return false }
        return true
    }

    private func grow() {
        let old = slots
        slots = PagedArray(zeros: old.count * 2)
        let mask = slots.count - 1
        for index in 0..<old.count where old[index].word > 0 {
            var slot = Int(old[index].hash) & mask
            while slots[slot].word > 0 { slot = (slot + 1) & mask }
            slots[slot] = old[index]
        }
    }

    /// Each word with its count; in the order of their bytes, when what follows must not depend on the order in which
    /// they were met.
    func forEach(
        inOrder: Bool, _ body: (_ word: Span<UInt8>, _ count: Int64) throws(TrainingError) -> Void
    ) throws(TrainingError) {
        let text = unsafe bytes.elements.span
        if inOrder {
            for word in order { try body(text.extracting(range(Int(word))), counts[Int(word)]) }
        } else {
            for word in 0..<count { try body(text.extracting(range(word)), counts[word]) }
        }
    }

    private var order: [Int32] {
        let text = unsafe bytes.elements
        return (0..<Int32(count)).sorted { first, second in
            let (a, b) = (range(Int(first)), range(Int(second)))
            guard let base = text.baseAddress else { return a.count < b.count }
            let order = unsafe memcmp(base + a.lowerBound, base + b.lowerBound, min(a.count, b.count))
            return order == 0 ? a.count < b.count : order < 0
        }
    }
}
