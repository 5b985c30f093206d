/// The merges of byte-pair encoding, by two neighbouring symbols: [left, right] → [rank, id]; the lowest rank merges
/// first.
struct MergeTable: Sendable {
    /// A merge: its rank, and the token that it makes.
    struct Merge: BitwiseCopyable, Sendable {
        let rank: UInt32
        let id: Int32
    }

    private struct Slot: BitwiseCopyable, Sendable {
        var key: UInt64
        var merge: Merge
    }

    private static let empty = UInt64.max
    private let slots: FrozenArray<Slot>
    private let shift: UInt64
    private let factor: UInt64

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// - Parameter merges: Of two entries for one pair the last counts, as in the reference.
    init(_ merges: [(left: Int32, right: Int32, merge: Merge)]) {
        var bits: UInt64 = 4
        while 1 << bits < merges.count * 2 { bits += 1 }
        shift = 64 - bits
        factor = ByteHash.seed
        let (factor, shift, mask) = (factor, shift, 1 << bits - 1)
        let free = Slot(key: MergeTable.empty, merge: Merge(rank: 0, id: 0))
        slots = FrozenArray(repeating: free, count: 1 << bits) { slots in
            for (left, right, merge) in merges {
                let key = MergeTable.key(left, right)
                var slot = MergeTable.slot(key, factor, shift)
                while slots[slot].key != MergeTable.empty, slots[slot].key != key { slot = (slot + 1) & mask }
                slots[slot] = Slot(key: key, merge: merge)
            }
        }
    }

    @inline(__always)
    private static func slot(_ key: UInt64, _ factor: UInt64, _ shift: UInt64) -> Int {
        Int(truncatingIfNeeded: ByteHash.fold(key ^ factor, 0x9E37_79B9_7F4A_7C15) >> shift)
    }

    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> Merge? {
        let key = MergeTable.key(left, right)
        let mask = slots.count - 1
        var slot = MergeTable.slot(key, factor, shift)
        while true {
            let entry = slots[slot]
            if entry.key == key { return entry.merge }
            if entry.key == MergeTable.empty { return nil }
            slot = (slot + 1) & mask
        }
    }

    /// All merges in order of rank.
    var entries: [(left: Int32, right: Int32, merge: Merge)] {
        slots.array.filter { $0.key != MergeTable.empty }
            .map { (Int32(truncatingIfNeeded: $0.key >> 32), Int32(truncatingIfNeeded: $0.key), $0.merge) }
            .sorted { $0.2.rank < $1.2.rank }
    }
}
