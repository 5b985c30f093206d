extension Scheduler {
    /// The number of a tenant's waiting requests that are looked at, and how often one of them may be passed over.
    private static let lookAhead = 16
    private static let patience = 8

    /// Begins waiting requests while there are slots, and blocks for all they know and one more in each group, beside
    /// what the running ones still need for what they know and one block each. Tenants take turns; within one the
    /// longest known beginning goes first. Sources that are read by whoever begins have a budget too.
    mutating func admit(_ step: inout StepSchedule, _ budget: Int) {
        var sourceRows = 0
        while freeSlotCount > 0, let (entry, beginning) = nextToAdmit() {
            sourceRows += entry.sourceRows
            guard fits(entry, beginning) else { return }
            guard step.admitted.isEmpty || sourceRows <= max(budget, Scheduler.quantum) else { return }
            begin(entry, beginning, &step)
        }
    }

    private func nextToAdmit() -> (ScheduledEntry, BlockLedger.Beginning)? {
        guard queue.uncut < waiting.count,
            let priority = waiting.lazy.compactMap({ entries[$0]?.request }).first(where: { $0.kind != .uncut })?
                .priority
        else { return nil }
        let tenants = queue.tenants.keys.sorted()
        for tenant in tenants.filter({ $0 > lastTenant }) + tenants.filter({ $0 <= lastTenant }) {
            if let best = nextToAdmit(of: tenant, priority) { return best }
        }
        return nil
    }

    /// The next of a tenant, in the order of age, of one priority; of a long queue only the first are looked at.
    private func nextToAdmit(of tenant: Int, _ priority: Int) -> (ScheduledEntry, BlockLedger.Beginning)? {
        var best: (ScheduledEntry, BlockLedger.Beginning)?
        var looks = 0
        for id in waiting {
            guard looks < Scheduler.lookAhead, let entry = entries[id] else { break }
            if entry.request.kind == .uncut { continue }
            guard entry.request.priority == priority else { break }
            guard entry.request.tenant == tenant else { continue }
            looks += 1
            let beginning = known(entry)
            if isBeingComputed(entry, after: beginning) { continue }
            if best == nil || beginning.length > best?.1.length ?? 0 { best = (entry, beginning) }
            if entry.passed >= Scheduler.patience { break }
        }
        return best
    }

    private func known(_ entry: ScheduledEntry) -> BlockLedger.Beginning {
        guard let namespace = entry.request.namespace else { return BlockLedger.Beginning() }
        return ledger.beginning(of: entry.tokens, namespace: namespace)
    }

    /// Returns whether a running request computes the very block that comes next.
    private func isBeingComputed(_ entry: ScheduledEntry, after beginning: BlockLedger.Beginning) -> Bool {
        let (number, size) = (beginning.serials.count, BlockLedger.positions)
        guard let namespace = entry.request.namespace, entry.tokens.count > (number + 1) * size else { return false }
        let block = entry.tokens[number * size..<(number + 1) * size]
        return running.contains { id in
            guard let other = entries[id] else { return false }
            return !other.isWriting && other.request.namespace == namespace
                && other.serials.count == number && other.serials.last == beginning.serials.last
                && other.tokens.count >= (number + 1) * size
                && other.tokens[number * size..<(number + 1) * size] == block
        }
    }

    /// The maximum number of blocks that a request has for what it knows, and one more.
    private func needed(_ entry: ScheduledEntry, _ group: Int) -> Int {
        entry.reserved ?? ledger.groups[group].blocks(length: entry.tokens.count, rows: Scheduler.quantum) + 1
    }

    /// The number of blocks of a group that the running requests do not have yet, for what they know and one more each:
    /// the watermark below which nothing is admitted.
    package func promised(_ group: Int) -> Int {
        running.reduce(0) { sum, id in
            guard let other = entries[id] else { return sum }
            return sum + max(0, needed(other, group) - other.blocks[group].count { $0 != nil })
        }
    }

    private func fits(_ entry: ScheduledEntry, _ beginning: BlockLedger.Beginning) -> Bool {
        return ledger.groups.indices.allSatisfy { group in
            let first = ledger.groups[group].firstBlock(at: beginning.length)
            let shared = max(0, beginning.serials.count - first)
            let taken = max(0, needed(entry, group) - shared) + ledger.unowned(beginning, group)
            return taken + promised(group) <= ledger.available(group)
        }
    }

    private mutating func begin(_ begun: ScheduledEntry, _ beginning: BlockLedger.Beginning, _ step: inout StepSchedule)
    {
        var entry = begun
        let id = entry.request.id
        for other in waiting.prefix(while: { $0 != id })
        where entries[other]?.request.kind != .uncut && entries[other]?.request.tenant == entry.request.tenant {
            entries.change(other) { $0.passed += 1 }
        }
        for group in ledger.groups.indices {
            entry.blocks[group] = ledger.retain(beginning, group)
            while entry.blocks[group].count < entry.reserved ?? 0, let block = ledger.take(group) {
                entry.blocks[group].append(block)
            }
        }
        for serial in beginning.serials { ledger.remember(serial) }
        (entry.serials, entry.computed) = (beginning.serials, beginning.length)
        if let partial = beginning.partial {
            for group in ledger.groups.indices {
                // Looked up before a block is taken, which may be this very one.
                guard let source = ledger.block(partial.serial, group), let target = ledger.take(group) else {
                    continue
                }
                entry.blocks[group].append(target)
                step.copies.append(
                    .init(id: id, group: group, source: source, target: target, positions: partial.count))
            }
        }
        entry.passed = 0
        lastTenant = entry.request.tenant
        entries.set(entry)
        start(id)
        step.admitted.append((id, entry.computed))
    }
}
