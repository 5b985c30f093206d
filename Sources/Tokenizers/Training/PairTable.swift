/// Pairs of symbols with their counts, and a chain of the words that hold each: an open-addressed table over chains in
/// one array.
struct PairTable: ~Copyable {
    /// A free slot is all zeros, so that a table need not be written before it is used.
    private struct Slot: BitwiseCopyable {
        /// The pair plus one.
        var key: UInt64
        var count: Int64
        /// The first link of the words, 0 for none.
        var chain: Int32
    }

    private struct Link: BitwiseCopyable {
        var word: Int32
        /// The next link, 0 for none.
        var next: Int32
    }

    private let memory: TrainingMemory
    private var slots: MappedArray<Slot>
    private var links: MappedArray<Link>
    private var used = 0
    /// Links that are free again, as a chain.
    private var free: Int32 = 0

    init(_ memory: TrainingMemory) throws(TrainingError) {
        self.memory = memory
        slots = MappedArray(memory)
        links = MappedArray(memory)
        try slots.append(zeros: 1 << 12)
        // No link has the number 0.
        try links.append(Link(word: 0, next: 0))
    }

    var capacity: Int { slots.count }

    /// The pair and count that a slot holds; nil for a free one.
    func entry(_ slot: Int) -> (key: UInt64, count: Int64)? {
        let entry = slots[slot]
        return entry.key == 0 ? nil : (entry.key - 1, entry.count)
    }

    /// The slot of a pair, or the free one where it would go.
    @inline(__always)
    private func slot(_ key: UInt64) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: ByteHash.fold(key ^ ByteHash.seed, 0x9E37_79B9_7F4A_7C15)) & mask
        while true {
            let found = slots[slot].key
            if found == key + 1 || found == 0 { return slot }
            slot = (slot + 1) & mask
        }
    }

    func count(_ key: UInt64) -> Int64 { slots[slot(key)].count }

    /// Counts a pair `times` more, in `word`.
    mutating func add(_ key: UInt64, _ times: Int64, _ word: Int32) throws(TrainingError) {
        var place = slot(key)
        if slots[place].key == 0 {
            if used * 3 > slots.count * 2 {
                try grow()
                place = slot(key)
            }
            slots[place] = Slot(key: key + 1, count: 0, chain: 0)
            used += 1
        }
        let chain = slots[place].chain
        let isNew = chain == 0 || links[Int(chain)].word != word
        let first = isNew ? try link(word, chain) : chain
        slots.update(place) { slot in
            slot.count += times
            slot.chain = first
        }
    }

    /// Counts a pair `times` less; one that was taken away stays away.
    @inline(__always)
    mutating func subtract(_ key: UInt64, _ times: Int64) {
        let place = slot(key)
        if slots[place].chain > 0 { slots.update(place) { $0.count -= times } }
    }

    /// Forgets a pair's count and takes its words away.
    ///
    /// - Returns: what ``take(_:into:limit:)`` finds them by.
    mutating func detach(_ key: UInt64) -> Int32 {
        let place = slot(key)
        let chain = slots[place].chain
        if slots[place].key == key + 1 { slots[place] = Slot(key: key + 1, count: 0, chain: 0) }
        return chain
    }

    /// Moves the next words of a chain into `words`, at most `limit`; none when it has ended.
    mutating func take(_ chain: inout Int32, into words: inout [Int32], limit: Int) {
        words.removeAll(keepingCapacity: true)
        while chain > 0, words.count < limit {
            let link = links[Int(chain)]
            words.append(link.word)
            links[Int(chain)] = Link(word: 0, next: free)
            free = chain
            chain = link.next
            memory.breathe()
        }
    }

    private mutating func link(_ word: Int32, _ next: Int32) throws(TrainingError) -> Int32 {
        if free > 0 {
            let link = free
            free = links[Int(link)].next
            links[Int(link)] = Link(word: word, next: next)
            return link
        }
        guard links.count < Int(Int32.max) else { throw .tooManyWords }
        try links.append(Link(word: word, next: next))
        return Int32(links.count - 1)
    }

    private mutating func grow() throws(TrainingError) {
        var old = MappedArray<Slot>(memory)
        swap(&old, &slots)
        try slots.append(zeros: old.count * 2)
        used = 0
        for index in 0..<old.count {
            memory.breathe()
            // Pairs that have been merged need no place.
            let entry = old[index]
            guard entry.key > 0, entry.chain > 0 else { continue }
            slots[slot(entry.key - 1)] = entry
            used += 1
        }
    }
}
