import MartletPlatform
import MartletServing
import Testing

@Suite struct SchedulerTests {
    /// A made-up model: every request is computed as it is told, and writes tokens of its own number.
    struct Loop {
        var scheduler: Scheduler
        var steps = 0

        init(slots: Int = 4, blocks: Int = 64, window: Int? = nil, waiting: Int = 256) {
            var limits = SchedulerLimits()
            limits.slots = slots
            (limits.waitingRequests, limits.waitingRequestsPerTenant) = (waiting, waiting)
            var groups = [BlockLedger.Group(capacity: blocks)]
            if let window { groups.append(.init(capacity: blocks, window: window)) }
            scheduler = Scheduler(limits, groups: groups)
        }

        mutating func submit(_ id: Int, prompt: Int, writes: Int = 4, tokens: [Int32]? = nil, namespace: Int? = nil)
            throws
        {
            var request = ScheduledRequest(
                id: id, tokens: tokens ?? (0..<prompt).map { Int32(truncatingIfNeeded: $0 &* 7 &+ id) },
                maximumNewTokens: writes)
            request.namespace = namespace
            try scheduler.submit(request)
        }

        /// One step; the ids whose first token came, or another one.
        @discardableResult mutating func step(budget: Int = 96) -> (step: StepSchedule, wrote: [Int]) {
            let step = scheduler.plan(budget: budget)
            steps += 1
            var wrote: [Int] = []
            scheduler.commit(
                step.runs.map { run in
                    guard !run.wanted.isEmpty, run.slot != nil else {
                        return StepOutcome(id: run.id, accepted: run.positions.count)
                    }
                    wrote.append(run.id)
                    return StepOutcome(id: run.id, accepted: run.positions.count, appended: [Int32(run.id)])
                })
            return (step, wrote)
        }
    }

    @Test func aRequestIsReadInChunksAndThenWrites() throws {
        var loop = Loop()
        try loop.submit(1, prompt: 200)
        var positions: [Range<Int>] = []
        var written = 0
        for _ in 0..<6 {
            let (step, wrote) = loop.step()
            positions += step.runs.map(\.positions)
            written += wrote.count
            #expect(loop.scheduler.checkInvariants() == [])
        }
        // A step has at least a quantum beside its four slots.
        #expect(positions == [0..<96, 96..<192, 192..<200, 200..<201, 201..<202, 202..<203])
        #expect(written == 4)
        loop.scheduler.cancel(1)
        #expect(loop.scheduler.checkInvariants() == [] && loop.scheduler.ledger.available(0) == 64)
    }

    /// A short prompt beside a very long one has its first token within six steps, whichever came first, however dear
    /// steps are, and though the long one has waited for its turn.
    @Test(arguments: [1, 64, 96, 200], [false, true]) func shortPromptsDoNotWaitForLongOnes(
        budget: Int, hasWaited: Bool
    ) throws {
        for early in 0..<5 {
            var loop = Loop(slots: 4, blocks: 700)
            try loop.submit(0, prompt: 3, writes: 100)
            loop.step()
            try loop.submit(1, prompt: 30_000)
            if hasWaited {
                try loop.submit(3, prompt: 192)
                for _ in 0..<3 { loop.step(budget: 64) }
            }
            for _ in 0..<early { loop.step(budget: budget) }
            try loop.submit(2, prompt: 200)
            var steps = 0
            while steps < 10 {
                steps += 1
                if loop.step(budget: budget).wrote.contains(2) { break }
            }
            #expect(steps <= 6)
        }
    }

    /// Dear steps: an eighth of a quantum of a long prompt is read beside one text, and twice a
    /// quantum at once where nothing is.
    @Test func dearStepsReadLittle() throws {
        var loop = Loop(slots: 4, blocks: 100)
        try loop.submit(1, prompt: 5, writes: 100)
        loop.step(budget: 1)
        try loop.submit(2, prompt: 1_000)
        let beside = (0..<3).map { _ in loop.step(budget: 1).step.runs.map(\.positions) }
        #expect(beside == [[5..<6, 0..<8], [6..<7, 8..<16], [7..<8, 16..<24]])
        #expect(loop.step(budget: 40).step.runs.map(\.positions) == [8..<9, 24..<64])
        // Half of one where more are read than written.
        try loop.submit(3, prompt: 600)
        #expect(loop.step(budget: 1).step.runs.map(\.positions) == [9..<10, 0..<32])
        loop.scheduler.cancel(3)
        loop.scheduler.cancel(1)
        #expect(loop.step(budget: 1).step.runs.map(\.positions) == [64..<132])
    }

    /// A search that gives its blocks to an older request begins anew, from its prompt.
    @Test func preemptedSearchesBeginAnew() throws {
        var loop = Loop(slots: 4, blocks: 9)
        try loop.submit(1, prompt: 120, writes: 200)
        var request = ScheduledRequest(id: 2, tokens: [7, 8, 9], maximumNewTokens: 100)
        request.kind = .search(blocks: 5, sourceRows: 0)
        try loop.scheduler.submit(request)
        var preempted = 0
        for _ in 0..<200 {
            let step = loop.step().step
            #expect(loop.scheduler.checkInvariants() == [])
            guard step.preempted.contains(2) else { continue }
            preempted = loop.steps
            break
        }
        // 256 positions are four blocks; the next one is the search's.
        #expect(preempted == 139 && loop.scheduler.tokens(of: 2) == [7, 8, 9])
        loop.scheduler.cancel(1)
        #expect(loop.step().step.runs.map(\.positions) == [0..<3])
    }

    /// A stream of short prompts does not stop a long one.
    @Test func longPromptsGoOn() throws {
        var loop = Loop(slots: 3, blocks: 300)
        try loop.submit(0, prompt: 3_000, writes: 1)
        var next = 1
        for _ in 0..<400 {
            while loop.scheduler.running.count + loop.scheduler.waiting.count < 3 {
                try loop.submit(next, prompt: 130, writes: 1)
                next += 1
            }
            let wrote = loop.step(budget: 67).wrote
            if wrote.contains(0) { return }
            for id in wrote { loop.scheduler.cancel(id) }
        }
        Issue.record("the long prompt was never read")
    }

    @Test func theYoungestIsPreemptedAndTheOldestGoesOn() throws {
        var loop = Loop(slots: 4, blocks: 9)
        for id in 1...3 { try loop.submit(id, prompt: 120, writes: 300) }
        var preempted: Set<Int> = []
        var finished: [Int] = []
        var lengths: [Int: Int] = [:]
        while finished.count < 3 && loop.steps < 3_000 {
            let (step, wrote) = loop.step()
            preempted.formUnion(step.preempted)
            #expect(loop.scheduler.checkInvariants() == [])
            for id in wrote {
                lengths[id, default: 0] += 1
                guard lengths[id] == 300 else { continue }
                finished.append(id)
                loop.scheduler.cancel(id)
            }
        }
        #expect(finished == [1, 2, 3] && !preempted.contains(1) && preempted.contains(3))
    }

    /// A step ends although a prompt has rows left in its budget and no block is left for them.
    @Test func aPromptWithoutBlocksDoesNotHoldAStep() throws {
        var loop = Loop(slots: 2, blocks: 14)
        for id in 1...2 { try loop.submit(id, prompt: 300) }
        loop.step(budget: 66)
        #expect(loop.scheduler.running == [1, 2])
        #expect(loop.scheduler.limit(group: 0, to: 7) == [])
        let step = loop.step(budget: 1_000).step
        #expect(step.runs.map(\.positions) == [64..<256, 2..<130])
        #expect(loop.scheduler.checkInvariants() == [] && loop.scheduler.ledger.available(0) == 0)
    }

    @Test func beginningsAreShared() throws {
        var loop = Loop(slots: 4, blocks: 64)
        let tokens = (0..<300).map { Int32($0) }
        try loop.submit(1, prompt: 0, tokens: tokens, namespace: 7)
        for _ in 0..<5 { loop.step() }
        for (id, length, known) in [(2, 300, 299), (3, 130, 129), (4, 128, 127)] {
            try loop.submit(id, prompt: 0, tokens: Array(tokens.prefix(length)), namespace: 7)
            let step = loop.step().step
            #expect(step.admitted.map(\.known) == [id == 2 ? 256 : known], "request \(id)")
            #expect(loop.scheduler.checkInvariants() == [])
            let copied = step.copies.first?.positions
            #expect(copied == (id == 2 ? nil : known % 64))
        }
        let tables = loop.scheduler
        #expect(tables.blocks(of: 2)[0].prefix(4) == tables.blocks(of: 1)[0].prefix(4))
        #expect(tables.blocks(of: 3)[0][2] != tables.blocks(of: 1)[0][2])
        // Other tenants' texts are never found.
        loop.scheduler.cancel(2)
        try loop.submit(5, prompt: 0, tokens: tokens, namespace: 8)
        #expect(loop.step().step.admitted.map(\.known) == [0])
    }

    /// Two equal prompts at once: the second waits for the first one's blocks.
    @Test func aBeginningThatIsBeingComputedIsWaitedFor() throws {
        var loop = Loop(slots: 4, blocks: 64)
        let tokens = (0..<250).map { Int32($0) }
        for id in 1...3 { try loop.submit(id, prompt: 0, tokens: tokens, namespace: 1) }
        var rows = 0
        for _ in 0..<12 {
            rows += loop.step().step.runs.filter { $0.positions.upperBound <= 250 }.reduce(0) {
                $0 + $1.positions.count
            }
        }
        #expect(rows == 250 + 2 * (250 - 192))
    }

    @Test func windowsGiveTheirBlocksBack() throws {
        var loop = Loop(slots: 2, blocks: 40, window: 100)
        try loop.submit(1, prompt: 1_000, writes: 500, namespace: 1)
        for _ in 0..<400 {
            loop.step()
            #expect(loop.scheduler.checkInvariants() == [])
            #expect(loop.scheduler.blocks(of: 1)[1].count { $0 != nil } <= 100 / 64 + 3)
        }
        #expect(loop.scheduler.blocks(of: 1)[0].count { $0 != nil } > 20)
    }

    @Test func uncutTextsHaveStepsOfTheirOwnWhenTheyMust() throws {
        var loop = Loop(slots: 2)
        try loop.submit(1, prompt: 50, writes: 100)
        for _ in 0..<3 { loop.step() }
        for (id, length) in [(2, 20), (3, 4_000)] {
            var request = ScheduledRequest(id: id, tokens: Array(repeating: 1, count: length), maximumNewTokens: 0)
            request.kind = .uncut
            try loop.scheduler.submit(request)
        }
        let first = loop.step().step
        #expect(first.runs.map(\.id) == [1, 2] && first.runs[1].slot == nil && first.runs[1].wanted == 0..<20)
        var alone = 0
        for _ in 0..<12 {
            let runs = loop.step().step.runs
            if runs.map(\.id) == [3] { alone += 1 } else { #expect(runs.map(\.id) == [1]) }
        }
        #expect(alone == 1)
    }

    /// Between any two of them whoever writes has as many steps as the first one waited.
    @Test func longUncutTextsDoNotFollowOneAnother() throws {
        var loop = Loop(slots: 2)
        try loop.submit(1, prompt: 50, writes: 100)
        for _ in 0..<3 { loop.step() }
        for id in 2...4 {
            var request = ScheduledRequest(id: id, tokens: Array(repeating: 1, count: 4_000), maximumNewTokens: 0)
            request.kind = .uncut
            try loop.scheduler.submit(request)
        }
        let runs = (0..<27).map { _ in loop.step().step.runs.map(\.id) }
        #expect(runs.enumerated().filter { $0.element != [1] }.map(\.offset) == [8, 17, 26])
        #expect(runs[8] == [2] && runs[17] == [3] && runs[26] == [4])
    }

    /// Searches hold all their blocks from their beginning to their end, and sources beyond a step's budget wait.
    @Test func searchesReserveTheirBlocks() throws {
        var loop = Loop(slots: 8, blocks: 20)
        for id in 1...5 {
            var request = ScheduledRequest(id: id, tokens: [1], maximumNewTokens: 100)
            request.kind = .search(blocks: 5, sourceRows: id == 3 ? 4_000 : 30)
            try loop.scheduler.submit(request)
        }
        #expect(loop.step().step.runs.map(\.id) == [1, 2])
        #expect(loop.step().step.runs.map(\.id) == [1, 2, 3])
        #expect(loop.step().step.runs.map(\.id) == [1, 2, 3, 4] && loop.scheduler.ledger.available(0) == 0)
        for _ in 0..<90 {
            #expect(loop.step().step.runs.map(\.id) == [1, 2, 3, 4])
            #expect(loop.scheduler.checkInvariants() == [])
        }
        loop.scheduler.cancel(2)
        #expect(loop.step().step.runs.map(\.id) == [1, 3, 4, 5])
        var request = ScheduledRequest(id: 9, tokens: [1], maximumNewTokens: 100)
        request.kind = .search(blocks: 21, sourceRows: 1)
        #expect(throws: SchedulerRefusal.tooManyBlocks(needed: 21, group: 0, capacity: 20)) {
            try loop.scheduler.submit(request)
        }
    }

    @Test func draftsAreVerifiedWhileRowsAreFree() throws {
        var loop = Loop(slots: 4)
        for id in 1...2 {
            try loop.submit(id, prompt: 10, writes: 100)
            loop.step()
        }
        let step = loop.scheduler.plan(budget: 96, drafts: [1: 3, 2: 5])
        #expect(step.runs.map(\.drafts) == [3, 1] && step.runs[0].positions == 11..<15)
        #expect(step.runs[0].wanted == 11..<15)
        // Two of three drafts are accepted, and what follows them was chosen.
        loop.scheduler.commit([
            .init(id: 1, accepted: 3, appended: [5, 6, 7]), .init(id: 2, accepted: 1, appended: [9]),
        ])
        #expect(loop.scheduler.checkInvariants() == [])
        #expect(loop.scheduler.plan(budget: 96).runs.map(\.positions.lowerBound) == [14, 11])
    }

    @Test func queuesAreBounded() throws {
        var limits = SchedulerLimits()
        (limits.slots, limits.waitingRequests, limits.waitingRequestsPerTenant, limits.waitingTokens) = (1, 4, 2, 500)
        limits.context = 1_000
        var scheduler = Scheduler(limits, groups: [.init(capacity: 8)])
        func request(_ id: Int, _ length: Int, tenant: Int = 0) -> ScheduledRequest {
            var request = ScheduledRequest(id: id, tokens: Array(repeating: 1, count: length), maximumNewTokens: 10)
            request.tenant = tenant
            return request
        }
        #expect(throws: SchedulerRefusal.empty) { try scheduler.submit(request(0, 0)) }
        #expect(throws: SchedulerRefusal.tooLong(positions: 1_001, context: 1_000)) {
            try scheduler.submit(request(0, 991))
        }
        #expect(throws: SchedulerRefusal.tooManyBlocks(needed: 9, group: 0, capacity: 8)) {
            try scheduler.submit(request(0, 439))
        }
        try scheduler.submit(request(1, 100))
        try scheduler.submit(request(2, 100))
        #expect(throws: SchedulerRefusal.tenantQueueFull(requests: 2, limit: 2)) { try scheduler.submit(request(3, 1)) }
        #expect(throws: SchedulerRefusal.queueFullOfTokens(tokens: 200, limit: 500)) {
            try scheduler.submit(request(3, 301, tenant: 1))
        }
        try scheduler.submit(request(3, 300, tenant: 1))
        #expect(scheduler.waiting == [1, 2, 3])
    }

    /// Twenty thousand that wait cost a step no more than a few do: looked at one by one they would take minutes.
    @Test func crowdsWaitInTheirOrder() throws {
        let count = 20_000
        var loop = Loop(slots: 8, waiting: count)
        for id in 0..<count { try loop.submit(id, prompt: 1, writes: 1) }
        #expect(loop.scheduler.checkInvariants().isEmpty)
        var begun: [Int] = []
        while loop.scheduler.count > 0 {
            let step = loop.scheduler.plan(budget: 96)
            begun += step.admitted.map(\.id)
            loop.scheduler.commit(
                step.runs.map { StepOutcome(id: $0.id, accepted: $0.positions.count, finished: !$0.wanted.isEmpty) })
            loop.steps += 1
            try #require(loop.steps <= count)
        }
        #expect(begun == Array(0..<count))
        #expect(loop.scheduler.checkInvariants().isEmpty)
    }
}
