extension Scheduler {
    /// Checks the scheduler's invariants and returns what is wrong; empty when nothing is. For tests, which ask after
    /// every event: one pass over requests and blocks.
    package func checkInvariants() -> [String] {
        var offences = ledger.offences()
        for group in ledger.groups.indices { check(group, &offences) }
        checkOrders(&offences)
        for entry in entries.values { check(entry, &offences) }
        return offences
    }

    /// The tables of all requests against the books of one group.
    private func check(_ group: Int, _ offences: inout [String]) {
        var owners = [Int](repeating: 0, count: ledger.capacity(group))
        for entry in entries.values {
            for case .some(let block) in entry.blocks[group] { owners[block] += 1 }
        }
        for (block, count) in owners.enumerated() where ledger.owners(block, group) != count {
            offences.append(
                "group \(group): block \(block) has \(ledger.owners(block, group)) owners, tables have \(count)")
        }
        let (owned, held) = (
            ledger.capacity(group) - ledger.free(group) - ledger.remembered(group), owners.count { $0 > 0 }
        )
        if owned != held { offences.append("group \(group): \(owned) owned, tables hold \(held)") }
    }

    /// Checks who runs and who waits, each once and in order, and each slot once.
    private func checkOrders(_ offences: inout [String]) {
        var slots = [Bool](repeating: false, count: limits.slots)
        for (order, runs) in [(running, true), (waiting, false)] {
            var last: ScheduledEntry?
            for id in order {
                guard let entry = entries[id], (entry.slot != nil) == runs else {
                    offences.append("\(id) is unknown, or in the wrong order")
                    continue
                }
                if let last, !last.comesBefore(entry) { offences.append("\(id) is not behind \(last.request.id)") }
                if let slot = entry.slot {
                    if slots[slot] { offences.append("slot \(slot) is used twice") }
                    slots[slot] = true
                }
                last = entry
            }
        }
        let waiters = waiting.compactMap { entries[$0] }
        if queue.uncut != waiters.count(where: { $0.request.kind == .uncut })
            || queue.tokens != waiters.reduce(0, { $0 + $1.tokens.count })
            || queue.tenants != Dictionary(waiters.map { ($0.request.tenant, 1) }, uniquingKeysWith: +)
        {
            offences.append("the sums over those who wait are not those of the requests")
        }
        if running.count + waiting.count != entries.count {
            offences.append("\(running.count) run and \(waiting.count) wait of \(entries.count)")
        }
        if running.count + freeSlotCount != limits.slots {
            offences.append("\(running.count) slots used, \(freeSlotCount) free")
        }
    }

    private func check(_ entry: ScheduledEntry, _ offences: inout [String]) {
        let id = entry.request.id
        if entry.computed >= entry.tokens.count { offences.append("\(id): \(entry.computed) of \(entry.tokens.count)") }
        if entry.serials.count * BlockLedger.positions > entry.computed {
            offences.append("\(id): an unaccepted block is known")
        }
        if entry.slot == nil && (entry.computed > 0 || entry.blocks.contains { !$0.isEmpty }) {
            offences.append("\(id): waits with blocks")
        }
        for (group, form) in ledger.groups.enumerated() where entry.slot != nil {
            let table = entry.blocks[group]
            let first = form.firstBlock(at: entry.computed)
            if table.dropFirst(first).contains(where: { $0 == nil }) {
                offences.append("\(id): group \(group) lacks a block it looks into")
            }
            if table.prefix(first).contains(where: { $0 != nil }) {
                offences.append("\(id): group \(group) keeps what lies behind")
            }
            if table.count < BlockLedger.blocks(entry.computed) {
                offences.append("\(id): group \(group) has too few blocks")
            }
        }
    }
}
