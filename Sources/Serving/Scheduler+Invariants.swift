extension Scheduler {
    /// What is wrong with the scheduler; empty when nothing is. For tests.
    package func checkInvariants() -> [String] {
        var offences = ledger.offences()
        for group in ledger.groups.indices {
            var owners: [Int: Int] = [:]
            for entry in entries.values {
                for case .some(let block) in entry.blocks[group] { owners[block, default: 0] += 1 }
            }
            for (block, count) in owners where ledger.owners(block, group) != count {
                offences.append(
                    "group \(group): block \(block) has \(ledger.owners(block, group)) owners, tables have \(count)")
            }
            let owned = ledger.capacity(group) - ledger.free(group) - ledger.remembered(group)
            if owned != owners.count { offences.append("group \(group): \(owned) owned, tables hold \(owners.count)") }
        }
        let slots = entries.values.compactMap(\.slot)
        if Set(slots).count != slots.count { offences.append("a slot is used twice") }
        if slots.count + freeSlotCount != limits.slots {
            offences.append("\(slots.count) slots used, \(freeSlotCount) free")
        }
        for entry in entries.values { offences += self.offences(of: entry) }
        return offences
    }

    private func offences(of entry: ScheduledEntry) -> [String] {
        let id = entry.request.id
        var offences: [String] = []
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
            if table.dropFirst(first).contains(nil) {
                offences.append("\(id): group \(group) lacks a block it looks into")
            }
            if table.prefix(first).contains(where: { $0 != nil }) {
                offences.append("\(id): group \(group) keeps what lies behind")
            }
            if table.count < BlockLedger.blocks(entry.computed) {
                offences.append("\(id): group \(group) has too few blocks")
            }
        }
        return offences
    }
}
