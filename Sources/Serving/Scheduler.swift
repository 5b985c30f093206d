/// Continuous batching over a paged KV cache: decides what the next step computes. A pure value: no tensors, no clock,
/// no threads; the same calls in the same order give the same steps.
///
/// Every request has known tokens and computed positions; there are no phases. One position left is a decode row, more
/// are a prompt to read in chunks. Blocks that run out are taken from the youngest, whose tokens are computed again
/// later: the oldest request always goes on, and one alone fits, so every request ends.
package struct Scheduler: Sendable {
    /// The quantum of fair scheduling: the number of rows of a prompt that it gets before the next one does.
    package static let quantum = 64
    private static let patience = 8
    /// Prompts up to this length have their first token within six steps: four that read them, and two in which others
    /// come first.
    private static let shortPrompt = 200

    package let limits: SchedulerLimits
    package internal(set) var ledger: BlockLedger
    var entries = EntryTable()
    private var arrivals = 0
    private var freeSlots: [Int]
    /// The requests with a slot and those without, each in the order in which they are served.
    package var running: [Int] { slotted.order }
    package var waiting: [Int] { queue.order }
    private var slotted = RequestQueue()
    var queue = RequestQueue()
    /// The tenant whose request was admitted last.
    var lastTenant = Int.min

    var freeSlotCount: Int { freeSlots.count }

    package init(_ limits: SchedulerLimits, groups: [BlockLedger.Group]) {
        (self.limits, ledger) = (limits, BlockLedger(groups: groups))
        freeSlots = Array((0..<limits.slots).reversed())
    }

    /// The number of requests that are known: running or waiting.
    package var count: Int { entries.count }
    package func tokens(of id: Int) -> [Int32] { entries[id]?.tokens ?? [] }
    /// Blocks of a request by group; nil where one was given back.
    package func blocks(of id: Int) -> [[Int?]] { entries[id]?.blocks ?? [] }
    /// The number of running requests that are being read for each that is being written, or for every four: the more
    /// there are, the more their first tokens count beside short gaps. One long prompt is no crowd.
    package var crowding: Double {
        var writers = 0
        for id in running where isWriting(id) { writers += 1 }
        return Double(running.count - writers) / Double(max(1, min(4, writers)))
    }
    /// Returns whether the next step has the row of a request's last token: it is read but for that.
    package func isWriting(_ id: Int) -> Bool { entries[id].map { $0.slot != nil && $0.isWriting } ?? false }

    /// Gives a waiting request a slot.
    ///
    /// - Precondition: one is free.
    mutating func start(_ id: Int) {
        let slot = freeSlots.removeLast()
        entries.change(id) { $0.slot = slot }
        queue.remove(id, of: entries)
        if let entry = entries[id] { slotted.insert(entry, of: entries) }
    }

    // MARK: Requests come and go

    /// - Throws: why the request cannot be taken; the scheduler is as it was.
    package mutating func submit(_ request: ScheduledRequest) throws(SchedulerRefusal) {
        precondition(entries[request.id] == nil, "Scheduler: request \(request.id) is known")
        guard !request.tokens.isEmpty else { throw .empty }
        let own = queue.tenants[request.tenant] ?? 0
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
        guard waiting.isEmpty || queue.tokens + request.tokens.count <= limits.waitingTokens else {
            throw .queueFullOfTokens(tokens: queue.tokens, limit: limits.waitingTokens)
        }
        arrivals += 1
        let entry = ScheduledEntry(request, arrival: arrivals, groups: ledger.groups.count)
        entries.set(entry)
        queue.insert(entry, of: entries)
    }

    /// The number of blocks of a group that a request needs, be it alone.
    func mostBlocks(of request: ScheduledRequest, _ group: Int) -> Int {
        switch request.kind {
        case .uncut: return 0
        case .search(let blocks, _): return blocks
        case .generation: break
        }
        let length = request.tokens.count + request.maximumNewTokens
        return ledger.groups[group].blocks(length: length, rows: Scheduler.quantum) + 1
    }

    /// Forgets a request, whatever it is doing; its blocks are released in this call.
    package mutating func cancel(_ id: Int) {
        guard entries[id] != nil else { return }
        stop(id)
        queue.remove(id, of: entries)
        entries.remove(id)
    }

    /// Takes slot and blocks from a request, the last blocks first.
    mutating func stop(_ id: Int) {
        registerRest(id)
        guard var entry = entries[id] else { return }
        for (group, blocks) in entry.blocks.enumerated() {
            for block in blocks.reversed() { if let block { ledger.release(block, group) } }
            entry.blocks[group] = []
        }
        for serial in entry.serials.reversed() { ledger.forget(serial) }
        let slot = entry.slot
        if slot != nil { slotted.remove(id, of: entries) }
        (entry.serials, entry.slot, entry.computed, entry.deficit, entry.passed) = ([], nil, 0, 0, 0)
        // A search begins anew.
        if entry.reserved != nil { entry.tokens = entry.request.tokens }
        entries.set(entry)
        guard let slot else { return }
        freeSlots.append(slot)
        queue.insert(entry, of: entries)
    }

    // MARK: A step

    /// The next step.
    ///
    /// - Parameters:
    ///   - budget: rows that a step should read beside those that are written; at least a quarter of a quantum is read,
    ///     half of one where more are read than written, or what a short prompt needs, and a quantum and one row for
    ///     each slot where nobody writes.
    ///   - drafts: for requests that write, how many tokens have been guessed.
    package mutating func plan(budget: Int, drafts: [Int: Int] = [:]) -> StepSchedule {
        var step = StepSchedule()
        plan(&step, budget: budget, drafts: drafts)
        return step
    }

    /// The next step in place of `step`, in whose memory it is made.
    package mutating func plan(_ step: inout StepSchedule, budget: Int, drafts: [Int: Int] = [:]) {
        step.removeAll()
        let budget = running.contains(where: isWriting) ? budget : max(budget, limits.slots + Scheduler.quantum)
        if let alone = uncutText(longerThan: budget) {
            step.runs.append(run(alone, alone.tokens.count))
            // The others wait as long again, so that who writes goes on between two of them.
            for id in waiting where isUncut(id) { entries.change(id) { $0.passed = 0 } }
            return
        }
        // Whoever is admitted leaves what the others need: a step that admits does not preempt.
        admit(&step, budget)
        write(&step, drafts)
        let textRows = readUncut(&step, budget)
        read(&step, budget - textRows)
        guard !step.preempted.isEmpty else { return }
        let preempted = step.preempted
        step.runs.removeAll { preempted.contains($0.id) }
        step.copies.removeAll { preempted.contains($0.id) }
        step.admitted.removeAll { preempted.contains($0.id) }
    }

    /// Appends one more token of a request that is known: chosen, or certain to come.
    package mutating func append(_ token: Int32, to id: Int) {
        var waits: Bool?
        entries.change(id) {
            $0.tokens.append(token)
            waits = $0.slot == nil
        }
        switch waits {
        case true?: queue.addToken()
        case false?: slotted.addToken()
        case nil: break
        }
    }

    /// Commits the outcomes of the last step's runs.
    package mutating func commit(_ outcomes: [StepOutcome]) {
        for outcome in outcomes {
            for token in outcome.appended { append(token, to: outcome.id) }
            commit(outcome.id, accepted: outcome.accepted, finished: outcome.finished)
        }
    }

    /// Commits the outcome of one run of the last step, beside the tokens that were appended: see ``StepOutcome``.
    package mutating func commit(_ id: Int, accepted: Int, finished: Bool = false) {
        guard let kind = entries[id]?.request.kind else { return }
        entries.change(id) { $0.computed += accepted }
        if kind == .generation { register(id) }
        if finished || kind == .uncut { cancel(id) } else { giveBack(id) }
    }

    private func run(_ entry: ScheduledEntry, _ rows: Int, drafts: Int = 0) -> StepSchedule.Run {
        let positions = entry.computed..<entry.computed + rows + drafts
        let isUncut = entry.request.kind == .uncut
        let last = isUncut ? positions.lowerBound : max(positions.lowerBound, entry.tokens.count - 1)
        return StepSchedule.Run(
            id: entry.request.id, slot: entry.slot, positions: positions, drafts: drafts,
            wanted: min(last, positions.upperBound)..<positions.upperBound)
    }

    /// Adds one row for everyone who writes, and drafts while rows cost little.
    private mutating func write(_ step: inout StepSchedule, _ drafts: [Int: Int]) {
        var spare = limits.freeRows - running.count { isWriting($0) }
        for id in running where isWriting(id) {
            guard reserve(1, for: id, &step), let entry = entries[id] else { continue }
            let most = entry.request.tokens.count + entry.request.maximumNewTokens - entry.tokens.count
            var guessed = max(0, min(drafts[id] ?? 0, spare, most))
            // Drafts take what nobody has.
            while guessed > 0 && !isAvailable(1 + guessed, for: entry) { guessed -= 1 }
            spare -= guessed
            step.runs.append(run(entry, 1, drafts: guessed))
            if guessed > 0 { _ = reserve(1 + guessed, for: id, &step) }
        }
    }

    /// Prompts share what is left of the budget by deficit round robin: the shortest first, whoever was passed over
    /// thrice before it.
    private mutating func read(_ step: inout StepSchedule, _ budget: Int) {
        var given: [Int: Int] = [:]
        var order: [Int] = []
        let readers = running.compactMap { isWriting($0) ? nil : entries[$0] }
        guard !readers.isEmpty else { return }
        var left = max(budget, fewestRows(readers))
        let starving = readers.filter { $0.deficit >= 3 * Scheduler.quantum }
        let others = readers.filter { $0.deficit < 3 * Scheduler.quantum }
        order += starving.map(\.request.id)
        order += others.prefix(8).sorted { ($0.left, $0.arrival) < ($1.left, $1.arrival) }.map(\.request.id)
        order += others.dropFirst(8).map(\.request.id)
        var isFirst = true
        while left > 0 && !order.isEmpty {
            // Only whoever got a whole quantum goes on: one for whom no block is left gets no more in this step.
            var further: [Int] = []
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
                if wanted == Scheduler.quantum { further.append(id) }
            }
            (order, isFirst) = (further, false)
        }
        for reader in readers {
            guard let entry = entries[reader.request.id], entry.slot != nil else { continue }
            let rows = given[reader.request.id] ?? 0
            entries.change(reader.request.id) { $0.deficit = rows > 0 ? 0 : entry.deficit + Scheduler.quantum }
            if rows > 0 { step.runs.append(run(entry, rows)) }
        }
    }

    /// The rows of prompts in a step, however long they take: as many as texts are written, within an eighth and a
    /// fourth of a quantum, or half of one where many read.
    private func fewestRows(_ readers: [ScheduledEntry]) -> Int {
        let asWriters = min(Scheduler.quantum / 4, max(Scheduler.quantum / 8, running.count - readers.count))
        return readers.reduce(crowding > 1 ? Scheduler.quantum / 2 : asWriters) { rows, reader in
            reader.tokens.count > Scheduler.shortPrompt ? rows : max(rows, (reader.tokens.count + 3) / 4)
        }
    }

    // MARK: Texts that are read in one piece

    /// The oldest uncut text, if it is longer than a step and nothing else runs or it has waited long enough: a step of
    /// its own.
    private func uncutText(longerThan budget: Int) -> ScheduledEntry? {
        guard queue.uncut > 0, let first = waiting.first(where: isUncut), let oldest = entries[first] else {
            return nil
        }
        let others = !running.isEmpty || queue.uncut < waiting.count
        return (oldest.left > budget && !others) || oldest.passed >= Scheduler.patience ? oldest : nil
    }

    private func isUncut(_ id: Int) -> Bool { entries[id]?.request.kind == .uncut }

    /// Adds the uncut texts that fit into a quantum or more, oldest first: into half of it where prompts are read too.
    ///
    /// - Returns: how many rows that are.
    private mutating func readUncut(_ step: inout StepSchedule, _ budget: Int) -> Int {
        guard queue.uncut > 0 else { return 0 }
        let reads = running.contains { !isWriting($0) }
        let most = max(budget, Scheduler.quantum) / (reads ? 2 : 1)
        var left = most
        for id in waiting where isUncut(id) {
            guard let text = entries[id], text.left <= left else {
                entries.change(id) { $0.passed += 1 }
                continue
            }
            left -= text.left
            step.runs.append(run(text, text.left))
        }
        return most - left
    }
}
