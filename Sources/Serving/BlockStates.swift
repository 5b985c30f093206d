/// The blocks of one group: owners, names, and the order in which remembered ones are forgotten.
struct BlockStates: Sendable {
    private static let none = -1

    private var owners: [Int]
    /// The run of tokens that a block holds; 0 where it is not known.
    private var serials: [UInt64]
    private var blocks: [UInt64: Int] = [:]
    private var free: [Int]
    private(set) var limit: Int
    private var owned = 0
    private(set) var remembered = 0
    /// Remembered blocks as a doubly linked list, the one to forget first at `oldest`.
    private var older: [Int]
    private var newer: [Int]
    private var oldest = none
    private var newest = none

    init(capacity: Int) {
        precondition(capacity >= 0, "BlockStates: \(capacity) blocks")
        limit = capacity
        owners = Array(repeating: 0, count: capacity)
        serials = Array(repeating: 0, count: capacity)
        free = Array((0..<capacity).reversed())
        older = Array(repeating: BlockStates.none, count: capacity)
        newer = older
    }

    var available: Int { max(0, limit - owned) }
    var freeCount: Int { free.count }
    func block(_ serial: UInt64) -> Int? { blocks[serial] }
    func owners(_ block: Int) -> Int { owners[block] }

    /// A block with one owner, and the run that was forgotten for it.
    mutating func take() -> (block: Int, forgotten: UInt64?)? {
        guard owned < limit else { return nil }
        var forgotten: UInt64?
        if owned + remembered == limit || free.isEmpty { forgotten = forgetOldest() }
        guard let block = free.popLast() else { return nil }
        owners[block] = 1
        owned += 1
        return (block, forgotten)
    }

    mutating func limit(to blocks: Int) -> [UInt64] {
        limit = max(0, min(blocks, owners.count))
        var forgotten: [UInt64] = []
        while owned + remembered > limit, let serial = forgetOldest() { forgotten.append(serial) }
        return forgotten
    }

    mutating func retain(_ block: Int) {
        if owners[block] == 0 {
            precondition(serials[block] != 0, "BlockStates: block \(block) is free")
            unlink(block)
            (remembered, owned) = (remembered - 1, owned + 1)
        }
        owners[block] += 1
    }

    /// Releases a block of one owner; returns the run that was forgotten because the limit had been lowered.
    mutating func release(_ block: Int) -> UInt64? {
        precondition(owners[block] > 0, "BlockStates: block \(block) has no owner")
        owners[block] -= 1
        guard owners[block] == 0 else { return nil }
        owned -= 1
        if serials[block] == 0 {
            free.append(block)
        } else {
            linkNewest(block)
            remembered += 1
        }
        return owned + remembered > limit ? forgetOldest() : nil
    }

    /// Names an owned block; false where it or the run has a name already.
    mutating func name(_ block: Int, _ serial: UInt64) -> Bool {
        precondition(owners[block] > 0, "BlockStates: block \(block) has no owner")
        guard serials[block] == 0, blocks[serial] == nil else { return false }
        serials[block] = serial
        blocks[serial] = block
        return true
    }

    private mutating func forgetOldest() -> UInt64? {
        guard oldest != BlockStates.none else { return nil }
        let (block, serial) = (oldest, serials[oldest])
        unlink(block)
        remembered -= 1
        serials[block] = 0
        blocks[serial] = nil
        free.append(block)
        return serial
    }

    private mutating func linkNewest(_ block: Int) {
        (older[block], newer[block]) = (newest, BlockStates.none)
        if newest == BlockStates.none { oldest = block } else { newer[newest] = block }
        newest = block
    }

    private mutating func unlink(_ block: Int) {
        let (before, after) = (older[block], newer[block])
        if before == BlockStates.none { oldest = after } else { newer[before] = after }
        if after == BlockStates.none { newest = before } else { older[after] = before }
    }

    func offences() -> [String] {
        var (offences, at): ([String], Int) = ([], oldest)
        // Where each block was found so far: in the list of remembered ones, or among the free.
        var found = [Bool](repeating: false, count: owners.count)
        var listed = 0
        while at != BlockStates.none && listed <= owners.count {
            if owners[at] != 0 || serials[at] == 0 { offences.append("block \(at) is remembered and owned or unnamed") }
            found[at] = true
            (at, listed) = (newer[at], listed + 1)
        }
        if listed != remembered { offences.append("\(listed) blocks in the list of \(remembered)") }
        for block in free {
            if found[block] || owners[block] != 0 || serials[block] != 0 {
                offences.append("block \(block) is free, and listed twice, owned or named")
            }
            found[block] = true
        }
        var (owning, named) = (0, 0)
        for block in owners.indices {
            if owners[block] > 0 { owning += 1 }
            guard serials[block] != 0 else { continue }
            named += 1
            if blocks[serials[block]] != block { offences.append("block \(block) is not found by its name") }
        }
        if owning != owned { offences.append("\(owned) blocks are not the owned ones") }
        if owned + remembered + free.count != owners.count {
            offences.append("\(owned) owned + \(remembered) remembered + \(free.count) free of \(owners.count)")
        }
        if blocks.count != named { offences.append("\(blocks.count) names of \(named) blocks") }
        return offences
    }
}
