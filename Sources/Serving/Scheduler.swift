/// Continuous batching over a paged KV cache: decides what the next step computes. A pure value: no tensors, no clock,
/// no threads; the same calls in the same order give the same steps.
///
/// Every request has known tokens and computed positions; there are no phases. One position left is a decode row, more
/// are a prompt to read in chunks. Blocks that run out are taken from the youngest, whose tokens are computed again
/// later: the oldest request always goes on, and one alone fits, so every request ends.
package struct Scheduler: Sendable {
    /// Rows of a prompt that it gets before the next one does.
    package static let quantum = 64
    private static let patience = 8

    package let limits: SchedulerLimits
    package internal(set) var ledger: BlockLedger
    var entries: [Int: ScheduledEntry] = [:]
    private var arrivals = 0
    private var freeSlots: [Int]
    /// Whose request was admitted last.
    var lastTenant = Int.min

    var freeSlotCount: Int { freeSlots.count }
    mutating func takeSlot() -> Int? { freeSlots.popLast() }

    package init(_ limits: SchedulerLimits, groups: [BlockLedger.Group]) {
        (self.limits, ledger) = (limits, BlockLedger(groups: groups))
        freeSlots = Array((0..<limits.slots).reversed())
    }

    package var running: [Int] { sorted { $0.slot != nil }.map(\.request.id) }
    package var waiting: [Int] { sorted { $0.slot == nil }.map(\.request.id) }
    package func tokens(of id: Int) -> [Int32] { entries[id]?.tokens ?? [] }
    /// Blocks of a request by group; nil where one was given back.
    package func blocks(of id: Int) -> [[Int?]] { entries[id]?.blocks ?? [] }

    private func sorted(_ isIncluded: (ScheduledEntry) -> Bool) -> [ScheduledEntry] {
        entries.values.filter(isIncluded).sorted { $0.comesBefore($1) }
    }

    // MARK: Requests come and go

    /// - Throws: why the request cannot be taken; the scheduler is as it was.
    package mutating func submit(_ request: ScheduledRequest) throws(SchedulerRefusal) {
        precondition(entries[request.id] == nil, "Scheduler: request \(request.id) is known")
        guard !request.tokens.isEmpty else { throw .empty }
        let waiting = entries.values.filter { $0.slot == nil }
        let own = waiting.count { $0.request.tenant == request.tenant }
        let (positions, overflow) = request.tokens.count.addingReportingOverflow(request.maximumNewTokens)
        guard !overflow, positions <= limits.context else {
            throw .tooLong(positions: overflow ? .max : positions, context: limits.context)
        }
        for group in ledger.groups.indices {
            let (needed, capacity) = (mostBlocks(of: request, group), ledger.limit(group))
            if needed > capacity { throw .tooManyBlocks(needed: needed, group: group, capacity: capacity) }
        }
        guard waiting.count < limits.waitingRequests else {
            throw .queueFull(requests: waiting.count, limit: limits.waitingRequests)
        }
        guard own < limits.waitingRequestsPerTenant else {
            throw .tenantQueueFull(requests: own, limit: limits.waitingRequestsPerTenant)
        }
        let queued = waiting.reduce(0) { $0 + $1.tokens.count }
        guard waiting.isEmpty || queued + request.tokens.count <= limits.waitingTokens else {
            throw .queueFullOfTokens(tokens: queued, limit: limits.waitingTokens)
        }
        arrivals += 1
        entries[request.id] = ScheduledEntry(request, arrival: arrivals, groups: ledger.groups.count)
    }

    /// Blocks of a group that a request needs, be it alone.
    private func mostBlocks(of request: ScheduledRequest, _ group: Int) -> Int {
        guard request.kind == .generation else { return 0 }
        let length = request.tokens.count + request.maximumNewTokens
        return ledger.groups[group].blocks(length: length, rows: Scheduler.quantum) + 1
    }

    /// From now on a group has this many blocks at most.
    ///
    /// - Returns: the requests that no longer fit, even alone; they are forgotten.
    package mutating func limit(group: Int, to blocks: Int) -> [Int] {
        ledger.limit(group, to: blocks)
        let tooLong = sorted { mostBlocks(of: $0.request, group) > blocks }.map(\.request.id)
        for id in tooLong { cancel(id) }
        return tooLong
    }

    /// Forgets a request, whatever it is doing; its blocks are released in this call.
    package mutating func cancel(_ id: Int) {
        guard entries[id] != nil else { return }
        stop(id)
        entries[id] = nil
    }

    /// Takes slot and blocks from a request, the last blocks first.
    private mutating func stop(_ id: Int) {
        registerRest(id)
        guard var entry = entries[id] else { return }
        for (group, blocks) in entry.blocks.enumerated() {
            for block in blocks.reversed() { if let block { ledger.release(block, group) } }
            entry.blocks[group] = []
        }
        for serial in entry.serials.reversed() { ledger.forget(serial) }
        if let slot = entry.slot { freeSlots.append(slot) }
        (entry.serials, entry.slot, entry.computed, entry.deficit, entry.passed) = ([], nil, 0, 0, 0)
        entries[id] = entry
    }

    // MARK: A step

    /// The next step.
    ///
    /// - Parameters:
    ///   - budget: rows that a step should have; there are at least one for each slot and a quantum of a prompt.
    ///   - drafts: for requests that write, how many tokens have been guessed.
    package mutating func plan(budget: Int, drafts: [Int: Int] = [:]) -> StepSchedule {
        let budget = max(budget, limits.slots + Scheduler.quantum)
        var step = StepSchedule()
        if let alone = uncutText(longerThan: budget) {
            step.runs = [run(alone, alone.tokens.count)]
            return step
        }
        // Whoever is admitted leaves what the others need: a step that admits does not preempt.
        admit(&step)
        write(&step, drafts)
        readUncut(&step, budget)
        read(&step, budget)
        let preempted = Set(step.preempted)
        step.runs.removeAll { preempted.contains($0.id) }
        step.copies.removeAll { preempted.contains($0.id) }
        step.admitted.removeAll { preempted.contains($0.id) }
        return step
    }

    /// What the runs of the last step came to.
    package mutating func commit(_ outcomes: [StepOutcome]) {
        for outcome in outcomes {
            guard var entry = entries[outcome.id] else { continue }
            entry.computed += outcome.accepted
            entry.tokens += outcome.appended
            entries[outcome.id] = entry
            if entry.request.kind == .generation { register(outcome.id) }
            if outcome.finished || entry.request.kind == .uncut {
                cancel(outcome.id)
            } else {
                giveBack(outcome.id)
            }
        }
    }

    private func run(_ entry: ScheduledEntry, _ rows: Int, drafts: Int = 0) -> StepSchedule.Run {
        let positions = entry.computed..<entry.computed + rows + drafts
        let isUncut = entry.request.kind == .uncut
        let last = isUncut ? positions.lowerBound : max(positions.lowerBound, entry.tokens.count - 1)
        return StepSchedule.Run(
            id: entry.request.id, slot: entry.slot, positions: positions, drafts: drafts,
            wanted: min(last, positions.upperBound)..<positions.upperBound)
    }

    /// One row for everyone who writes, and drafts while rows cost little.
    private mutating func write(_ step: inout StepSchedule, _ drafts: [Int: Int]) {
        let writers = sorted { $0.slot != nil && $0.isWriting }
        var spare = limits.freeRows - writers.count
        for writer in writers {
            let id = writer.request.id
            guard reserve(1, for: id, &step), let entry = entries[id] else { continue }
            let most = entry.request.tokens.count + entry.request.maximumNewTokens - entry.tokens.count
            var guessed = max(0, min(drafts[id] ?? 0, spare, most))
            // Drafts take what nobody has.
            while guessed > 0 && !isAvailable(1 + guessed, for: entry) { guessed -= 1 }
            guard guessed == 0 || reserve(1 + guessed, for: id, &step) else { continue }
            spare -= guessed
            step.runs.append(run(entry, 1, drafts: guessed))
        }
    }

    /// Prompts share what is left of the budget by deficit round robin: the shortest first, whoever was passed over
    /// thrice before it.
    private mutating func read(_ step: inout StepSchedule, _ budget: Int) {
        var left = budget - step.rows
        var given: [Int: Int] = [:]
        var order: [Int] = []
        let readers = sorted { $0.slot != nil && $0.request.kind == .generation && !$0.isWriting }
        let starving = readers.filter { $0.deficit >= 3 * Scheduler.quantum }
        let others = readers.filter { $0.deficit < 3 * Scheduler.quantum }
        order += starving.map(\.request.id)
        order += others.prefix(8).sorted { ($0.left, $0.arrival) < ($1.left, $1.arrival) }.map(\.request.id)
        order += others.dropFirst(8).map(\.request.id)
        var isFirst = true
        while left > 0 && !order.isEmpty {
            for id in order where left > 0 {
                guard let entry = entries[id], entry.slot != nil else { continue }
                let had = given[id] ?? 0
                let wanted = min(Scheduler.quantum, entry.left - had, left)
                // Only its first quantum may take blocks from others.
                guard wanted > 0, isFirst || isAvailable(had + wanted, for: entry),
                    reserve(had + wanted, for: id, &step)
                else { continue }
                given[id] = had + wanted
                left -= wanted
            }
            order.removeAll { id in (given[id] ?? 0) < Scheduler.quantum || given[id] == entries[id]?.left }
            isFirst = false
        }
        for reader in readers {
            guard let entry = entries[reader.request.id], entry.slot != nil else { continue }
            let rows = given[reader.request.id] ?? 0
            entries[reader.request.id]?.deficit = rows > 0 ? 0 : entry.deficit + Scheduler.quantum
            if rows > 0 { step.runs.append(run(entry, rows)) }
        }
    }

    // MARK: Texts that are read in one piece

    /// The oldest uncut text, if it is longer than a step and nothing else runs or it has waited long enough: a step of
    /// its own.
    private func uncutText(longerThan budget: Int) -> ScheduledEntry? {
        guard let oldest = sorted({ $0.request.kind == .uncut }).first else { return nil }
        let others = entries.values.contains { $0.request.kind == .generation }
        return (oldest.left > budget && !others) || oldest.passed >= Scheduler.patience ? oldest : nil
    }

    /// Those that fit, oldest first, into half of what is left where prompts are read too.
    private mutating func readUncut(_ step: inout StepSchedule, _ budget: Int) {
        let reads = entries.values.contains { $0.slot != nil && !$0.isWriting }
        var left = max(0, budget - step.rows) / (reads ? 2 : 1)
        for text in sorted({ $0.request.kind == .uncut }) {
            guard text.left <= left else {
                entries[text.request.id]?.passed += 1
                continue
            }
            left -= text.left
            step.runs.append(run(text, text.left))
        }
    }

    // MARK: Blocks

    private func isAvailable(_ rows: Int, for entry: ScheduledEntry) -> Bool {
        ledger.groups.indices.allSatisfy { group in
            BlockLedger.blocks(entry.computed + rows) - entry.blocks[group].count <= ledger.available(group)
        }
    }

    /// Makes sure that the next `rows` positions of a request have blocks, preempting whoever is younger; false, and
    /// the request is preempted itself, where it is the youngest.
    private mutating func reserve(_ rows: Int, for id: Int, _ step: inout StepSchedule) -> Bool {
        for group in ledger.groups.indices {
            while let entry = entries[id], entry.slot != nil,
                entry.blocks[group].count < BlockLedger.blocks(entry.computed + rows)
            {
                if let block = ledger.take(group) {
                    entries[id]?.blocks[group].append(block)
                } else {
                    guard let youngest = sorted({ $0.slot != nil }).last else { return false }
                    step.preempted.append(youngest.request.id)
                    stop(youngest.request.id)
                }
            }
        }
        return entries[id]?.slot != nil
    }

    /// Full blocks of accepted tokens become known, so that others can share them.
    private mutating func register(_ id: Int) {
        guard var entry = entries[id], let namespace = entry.request.namespace else { return }
        while (entry.serials.count + 1) * BlockLedger.positions <= entry.computed {
            let number = entry.serials.count
            let tokens = entry.tokens[number * BlockLedger.positions..<(number + 1) * BlockLedger.positions]
            entry.serials.append(
                ledger.register(
                    entry.blocks.map { $0[number] }, after: entry.serials.last ?? 0, tokens, namespace: namespace))
        }
        entries[id] = entry
    }

    /// The last block of a request that stops becomes known as far as it is filled, so that a conversation goes on from
    /// there.
    private mutating func registerRest(_ id: Int) {
        guard var entry = entries[id], let namespace = entry.request.namespace else { return }
        let (number, start) = (entry.serials.count, entry.serials.count * BlockLedger.positions)
        let end = min(entry.computed, start + BlockLedger.positions)
        let blocks = entry.blocks.compactMap { number < $0.count ? $0[number] : nil }
        guard end > start, blocks.count == entry.blocks.count else { return }
        entry.serials.append(
            ledger.register(
                blocks, after: entry.serials.last ?? 0, entry.tokens[start..<end], namespace: namespace))
        entries[id] = entry
    }

    /// What no query of the request will look at again goes back.
    private mutating func giveBack(_ id: Int) {
        guard var entry = entries[id], entry.slot != nil else { return }
        for (group, form) in ledger.groups.enumerated() {
            for number in 0..<min(form.firstBlock(at: entry.computed), entry.blocks[group].count) {
                guard let block = entry.blocks[group][number] else { continue }
                entry.blocks[group][number] = nil
                ledger.release(block, group)
            }
        }
        entries[id] = entry
    }
}
