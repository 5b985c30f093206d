import MartletPlatform
import MartletServing
import TestSupport
import Testing

/// Seeded random events, and the books after each: requests arrive, are cancelled and finish, pools shrink and grow,
/// drafts are rejected.
@Suite struct SchedulerSimulationTests {
    struct Simulation {
        var random: SplitMix
        var scheduler: Scheduler
        let groups: [BlockLedger.Group]
        var next = 0
        var ages: [Int: Int] = [:]
        var wanted: [Int: Int] = [:]
        var finished: Set<Int> = []
        var submitted = 0
        var step = 0

        init(seed: UInt64) {
            random = SplitMix(state: seed)
            var limits = SchedulerLimits()
            limits.slots = Int.random(in: 1...8, using: &random)
            limits.freeRows = Int.random(in: 1...8, using: &random)
            (limits.waitingRequests, limits.waitingTokens) = (20, 6_000)
            let window: Int? = seed % 3 == 0 ? Int.random(in: 1...200, using: &random) : nil
            groups =
                [.init(capacity: Int.random(in: 12...80, using: &random))]
                + (window.map { [.init(capacity: 60, window: $0)] } ?? [])
            scheduler = Scheduler(limits, groups: groups)
        }

        mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

        mutating func arrive() {
            // Few tokens, so that beginnings meet.
            let length = chance(80) ? Int.random(in: 1...200, using: &random) : Int.random(in: 1...700, using: &random)
            let kind = Int32.random(in: 0...3, using: &random)
            var tokens = (0..<length).map { Int32($0 / 50) * 4 + kind }
            if chance(50) { tokens[Int.random(in: 0..<length, using: &random)] = 999 }
            let writes = Int.random(in: 1...120, using: &random)
            var request = ScheduledRequest(id: next, tokens: tokens, maximumNewTokens: writes)
            request.namespace = chance(80) ? Int.random(in: 0...1, using: &random) : nil
            request.tenant = Int.random(in: 0...2, using: &random)
            if chance(10) { (request.kind, request.maximumNewTokens) = (.uncut, 0) }
            if chance(10), request.kind != .uncut {
                let blocks = BlockLedger.blocks(length + writes) * Int.random(in: 1...3, using: &random)
                request.kind = .search(blocks: blocks, sourceRows: Int.random(in: 1...300, using: &random))
                request.namespace = nil
            }
            guard (try? scheduler.submit(request)) != nil else { return }
            submitted += 1
            (ages[next], wanted[next]) = (next, writes)
            next += 1
        }

        mutating func end(_ id: Int) -> String? {
            defer { (ages[id], wanted[id]) = (nil, nil) }
            return finished.insert(id).inserted ? nil : "\(id) ended twice"
        }

        /// One random event; what was wrong with it.
        mutating func event() -> [String] {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<20: arrive()
            case 20..<24:
                if let id = (scheduler.running + scheduler.waiting).randomElement(using: &random) {
                    scheduler.cancel(id)
                    if let offence = end(id) { return [offence] }
                    if !scheduler.blocks(of: id).isEmpty { return ["\(id) has blocks after it was cancelled"] }
                }
            case 24:
                let group = Int.random(in: 0..<groups.count, using: &random)
                let blocks = Int.random(in: groups[group].capacity / 2...groups[group].capacity, using: &random)
                for id in scheduler.limit(group: group, to: blocks) { if let offence = end(id) { return [offence] } }
            default: return computeStep()
            }
            return []
        }

        mutating func computeStep() -> [String] {
            let oldest = scheduler.running.first
            var drafts: [Int: Int] = [:]
            for id in scheduler.running where chance(30) { drafts[id] = Int.random(in: 0...5, using: &random) }
            let budget = Int.random(in: 1...300, using: &random)
            let before = (scheduler.running.count, scheduler.waiting.count)
            let isWriting = scheduler.running.contains { scheduler.isWriting($0) }
            let plan = scheduler.plan(budget: budget, drafts: drafts)
            step += 1
            var offences: [String] = []
            if before.0 == 0 && before.1 > 0 && plan.runs.isEmpty {
                offences.append("nothing runs while \(before.1) wait")
            }
            if let oldest, plan.preempted.contains(oldest) { offences.append("the oldest, \(oldest), was preempted") }
            if !plan.preempted.isEmpty && !plan.admitted.isEmpty { offences.append("admitted and preempted") }
            // Whoever is admitted leaves what the others need. Guesses take what nobody has, and so do, until the end
            // of the step, rows beyond a quantum behind a window.
            let isLong = plan.runs.contains { $0.positions.count > Scheduler.quantum }
            for group in groups.indices
            where !plan.admitted.isEmpty && drafts.isEmpty && !(isLong && groups[group].window != nil) {
                let (promised, available) = (scheduler.promised(group), scheduler.ledger.available(group))
                if promised > available { offences.append("\(promised) blocks are promised, \(available) are there") }
            }
            // Texts that are read in one piece have half of a quantum beside what a short prompt has at least, or a
            // step of their own.
            let most = max(budget, isWriting ? 64 : scheduler.limits.slots + 64)
            let allowed = max(most, most / 2 + 50)
            let read = plan.runs.filter { $0.slot == nil || $0.wanted.count < $0.positions.count }
            let rows = read.reduce(0) { $0 + $1.positions.count }
            if rows > allowed && !(plan.runs.count == 1 && plan.runs[0].slot == nil) {
                offences.append("\(rows) rows are read in a budget of \(allowed)")
            }
            offences += scheduler.checkInvariants()
            scheduler.commit(plan.runs.map { outcome(of: $0, &offences) })
            return offences
        }

        mutating func outcome(of run: StepSchedule.Run, _ offences: inout [String]) -> StepOutcome {
            guard run.slot != nil else {
                if let offence = end(run.id) { offences.append(offence) }
                return StepOutcome(id: run.id, accepted: run.positions.count)
            }
            let blocks = scheduler.blocks(of: run.id)
            for table in blocks where table.count * 64 < run.positions.upperBound {
                offences.append("\(run.id) computes \(run.positions) in \(table.count) blocks")
            }
            guard !run.wanted.isEmpty else { return StepOutcome(id: run.id, accepted: run.positions.count) }
            let accepted = Int.random(in: 0...run.drafts, using: &random)
            let new = min(accepted + 1, wanted[run.id] ?? 1)
            wanted[run.id, default: 0] -= new
            let ends = wanted[run.id] ?? 0 <= 0 || chance(1)
            if ends, let offence = end(run.id) { offences.append(offence) }
            return StepOutcome(
                id: run.id, accepted: run.positions.count - run.drafts + new - 1,
                appended: (0..<new).map { Int32($0) + 100 }, finished: ends)
        }
    }

    /// 10⁶ events; another number where `MARTLET_EVENTS` says so.
    @Test func randomEventsKeepTheBooks() throws {
        let events = environment("MARTLET_EVENTS").flatMap { Int($0) } ?? 1_000_000
        let seed = environment("MARTLET_SEED").flatMap { UInt64($0) } ?? 1
        for round in 0..<20 {
            var simulation = Simulation(seed: seed &+ UInt64(round))
            for event in 0..<events / 20 {
                let offences = simulation.event() + simulation.scheduler.checkInvariants()
                // Asked plainly: an expectation for each event would take longer than the event.
                if !offences.isEmpty { throw Failure("seed \(seed) round \(round) event \(event): \(offences)") }
            }
            // Liveness: whatever is there ends without anything new.
            var steps = 0
            while !simulation.ages.isEmpty {
                steps += 1
                let left = simulation.ages.count
                if steps == 100_000 { throw Failure("seed \(seed) round \(round): \(left) requests never end") }
                let offences = simulation.computeStep()
                if !offences.isEmpty { throw Failure("seed \(seed) round \(round): \(offences)") }
            }
            #expect(simulation.finished.count == simulation.submitted)
            for group in simulation.groups.indices {
                #expect(simulation.scheduler.ledger.available(group) == simulation.scheduler.ledger.limit(group))
            }
        }
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    @Test func theSameCallsGiveTheSameSteps() {
        func steps(_ seed: UInt64) -> [StepSchedule] {
            var simulation = Simulation(seed: seed)
            return (0..<300).map { _ in
                _ = simulation.event()
                return simulation.scheduler.plan(budget: 100)
            }
        }
        #expect(steps(5) == steps(5))
    }

    private func environment(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
}
