// The blocks of running requests: taken, made known, given back.
extension Scheduler {
    /// Limits a group to this many blocks from now on.
    ///
    /// - Returns: the requests that no longer fit, even alone; they are forgotten.
    package mutating func limit(group: Int, to blocks: Int) -> [Int] {
        ledger.limit(group, to: blocks)
        let tooLong = (running + waiting).filter { id in
            entries[id].map { mostBlocks(of: $0.request, group) > blocks } ?? false
        }
        for id in tooLong { cancel(id) }
        return tooLong
    }

    func isAvailable(_ rows: Int, for entry: ScheduledEntry) -> Bool {
        ledger.groups.indices.allSatisfy { group in
            BlockLedger.blocks(entry.computed + rows) - entry.blocks[group].count <= ledger.available(group)
        }
    }

    /// Makes sure that the next `rows` positions of a request have blocks, preempting whoever is younger; false, and
    /// the request is preempted itself, where it is the youngest.
    mutating func reserve(_ rows: Int, for id: Int, _ step: inout StepSchedule) -> Bool {
        for group in ledger.groups.indices {
            while lacksBlocks(id, group, rows) {
                if let block = ledger.take(group) {
                    entries.change(id) { $0.blocks[group].append(block) }
                } else {
                    guard let youngest = running.last else { return false }
                    step.preempted.append(youngest)
                    stop(youngest)
                }
            }
        }
        return entries[id]?.slot != nil
    }

    private func lacksBlocks(_ id: Int, _ group: Int, _ rows: Int) -> Bool {
        guard let entry = entries[id], entry.slot != nil else { return false }
        return entry.blocks[group].count < BlockLedger.blocks(entry.computed + rows)
    }

    /// Full blocks of accepted tokens become known, so that others can share them.
    mutating func register(_ id: Int) {
        while let entry = entries[id], let namespace = entry.request.namespace,
            (entry.serials.count + 1) * BlockLedger.positions <= entry.computed
        {
            let number = entry.serials.count
            let tokens = entry.tokens[number * BlockLedger.positions..<(number + 1) * BlockLedger.positions]
            let serial = ledger.register(
                entry.blocks.map { $0[number] }, after: entry.serials.last ?? 0, tokens, namespace: namespace)
            entries.change(id) { $0.serials.append(serial) }
        }
    }

    /// The last block of a request that stops becomes known as far as it is filled, so that a conversation goes on from
    /// there.
    mutating func registerRest(_ id: Int) {
        guard var entry = entries[id], let namespace = entry.request.namespace else { return }
        let (number, start) = (entry.serials.count, entry.serials.count * BlockLedger.positions)
        let end = min(entry.computed, start + BlockLedger.positions)
        let blocks = entry.blocks.compactMap { number < $0.count ? $0[number] : nil }
        guard end > start, blocks.count == entry.blocks.count else { return }
        entry.serials.append(
            ledger.register(
                blocks, after: entry.serials.last ?? 0, entry.tokens[start..<end], namespace: namespace))
        entries.set(entry)
    }

    /// Gives back the blocks that no query of the request will look at again.
    mutating func giveBack(_ id: Int) {
        for group in ledger.groups.indices where ledger.groups[group].window != nil {
            guard let entry = entries[id], entry.slot != nil else { return }
            let passed = min(ledger.groups[group].firstBlock(at: entry.computed), entry.blocks[group].count)
            for number in 0..<passed {
                guard let block = entry.blocks[group][number] else { continue }
                entries.change(id) { $0.blocks[group][number] = nil }
                ledger.release(block, group)
            }
        }
    }
}
