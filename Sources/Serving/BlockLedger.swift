/// Book-keeping of a paged KV cache: who refers to which block of 64 positions, which blocks can be shared, which can
/// be taken. Numbers only; knows no memory.
///
/// A block has owners, or is remembered (no owner, but its tokens are known and may come again), or is free. A
/// remembered block is taken when no free one is left, the one that was released first. Blocks are numbered from 0 in
/// each group of layers.
package struct BlockLedger: Sendable {
    /// The block size in positions.
    package static let positions = 64

    /// Layers that reach equally far back, and therefore hold on to the same positions.
    package struct Group: Sendable, Hashable {
        /// The maximum number of blocks of the group.
        package var capacity: Int
        /// The attention window, how many positions a query sees, its own among them; nil sees all.
        package var window: Int?

        package init(capacity: Int, window: Int? = nil) { (self.capacity, self.window) = (capacity, window) }

        /// The maximum number of blocks that one sequence of `length` positions holds while `rows` more are computed at
        /// once.
        package func blocks(length: Int, rows: Int = 1) -> Int {
            let whole = BlockLedger.blocks(length)
            guard let window else { return whole }
            return min(whole, BlockLedger.blocks(window + rows) + 1)
        }

        /// The first block that a query at `position` looks into.
        package func firstBlock(at position: Int) -> Int {
            window.map { max(0, position - $0 + 1) / BlockLedger.positions } ?? 0
        }
    }

    package static func blocks(_ length: Int) -> Int { (length + positions - 1) / positions }

    package let groups: [Group]
    private var states: [BlockStates]
    private var index = PrefixIndex()

    package init(groups: [Group]) {
        self.groups = groups
        states = groups.map { BlockStates(capacity: $0.capacity) }
    }

    /// The number of blocks of a group that can be taken: free or remembered.
    package func available(_ group: Int) -> Int { states[group].available }
    package func remembered(_ group: Int) -> Int { states[group].remembered }
    package func free(_ group: Int) -> Int { states[group].freeCount }
    package func capacity(_ group: Int) -> Int { groups[group].capacity }
    package func limit(_ group: Int) -> Int { states[group].limit }

    /// Limits a group to at most this many blocks in use or remembered from now on; owners keep what they have.
    package mutating func limit(_ group: Int, to blocks: Int) {
        for serial in states[group].limit(to: blocks) { index.drop(serial) }
    }

    /// A block with one owner whose contents are not known; nil when all have owners.
    package mutating func take(_ group: Int) -> Int? {
        guard let (block, forgotten) = states[group].take() else { return nil }
        if let forgotten { index.drop(forgotten) }
        return block
    }

    /// Retains a beginning's whole blocks for one owner more, as far as queries behind it look back; nil before that.
    package mutating func retain(_ beginning: Beginning, _ group: Int) -> [Int?] {
        let first = groups[group].firstBlock(at: beginning.length)
        return beginning.serials.enumerated().map { number, serial in
            guard number >= first, let block = states[group].block(serial) else { return nil }
            states[group].retain(block)
            return block
        }
    }

    /// A run's number stays known until `forget` is called once more.
    package mutating func remember(_ serial: UInt64) { index.retain(serial) }

    /// Releases a block of one owner. Give up a sequence's last blocks first, so that beginnings are remembered
    /// longest.
    package mutating func release(_ block: Int, _ group: Int) {
        if let forgotten = states[group].release(block) { index.drop(forgotten) }
    }

    /// Says that `blocks`, one of each group (nil where it was given back), hold the keys and values of `tokens` after
    /// the run `parent`. They must not be written again. The run's number, which the caller holds on to until `forget`.
    /// A run of fewer tokens than a block has is one that others can only begin with.
    package mutating func register(
        _ blocks: [Int?], after parent: UInt64, _ tokens: ArraySlice<Int32>, namespace: Int
    ) -> UInt64 {
        precondition(
            (1...BlockLedger.positions).contains(tokens.count), "BlockLedger: a block of \(tokens.count) tokens")
        let serial = index.hold(after: parent, tokens, namespace: namespace)
        for (group, block) in blocks.enumerated() {
            // The first of two that computed the same is the one that is found.
            guard let block, states[group].name(block, serial) else { continue }
            _ = index.hold(after: parent, tokens, namespace: namespace)
        }
        return serial
    }

    package mutating func forget(_ serial: UInt64) { index.drop(serial) }

    // MARK: Beginnings

    /// The known beginning of a text (prefix).
    package struct Beginning: Sendable {
        /// The serial numbers of its whole runs of 64 tokens, in order.
        package var serials: [UInt64] = []
        /// The run after them that begins alike, and how many of its tokens do.
        package var partial: (serial: UInt64, count: Int)?
        package var length: Int { serials.count * BlockLedger.positions + (partial?.count ?? 0) }
    }

    /// The longest beginning of `tokens` whose blocks are there in every group as far as queries behind it look back,
    /// short of the last token.
    package func beginning(of tokens: [Int32], namespace: Int, partial: Bool = true) -> Beginning {
        var serials: [UInt64] = []
        let most = max(0, tokens.count - 1)
        while (serials.count + 1) * BlockLedger.positions <= most {
            let start = serials.count * BlockLedger.positions
            let run = tokens[start..<start + BlockLedger.positions]
            guard let next = index.serial(after: serials.last ?? 0, run, namespace: namespace) else { break }
            serials.append(next)
        }
        while true {
            var beginning = Beginning(serials: serials)
            if partial {
                let rest = tokens[serials.count * BlockLedger.positions..<most].prefix(BlockLedger.positions)
                beginning.partial = index.longestBeginning(after: serials.last ?? 0, rest, namespace: namespace)
                if isThere(beginning) { return beginning }
                beginning.partial = nil
            }
            if isThere(beginning) || serials.isEmpty { return beginning }
            serials.removeLast()
        }
    }

    private func isThere(_ beginning: Beginning) -> Bool {
        let runs = beginning.serials + (beginning.partial.map { [$0.serial] } ?? [])
        return groups.indices.allSatisfy { group in
            runs.dropFirst(groups[group].firstBlock(at: beginning.length)).allSatisfy { states[group].block($0) != nil }
        }
    }

    /// The block of a group that holds a run.
    package func block(_ serial: UInt64, _ group: Int) -> Int? { states[group].block(serial) }

    /// The number of owners of a block; 0 for one that is remembered or free.
    package func owners(_ block: Int, _ group: Int) -> Int { states[group].owners(block) }

    /// The number of blocks of a beginning that have no owner yet, and so are no longer available once it is used.
    package func unowned(_ beginning: Beginning, _ group: Int) -> Int {
        beginning.serials.dropFirst(groups[group].firstBlock(at: beginning.length))
            .count { serial in states[group].block(serial).map { states[group].owners($0) == 0 } ?? false }
    }

    /// The offences of the books; empty when nothing is wrong.
    package func offences() -> [String] {
        groups.indices.flatMap { group in states[group].offences().map { "group \(group): \($0)" } }
    }
}
