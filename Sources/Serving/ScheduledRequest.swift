/// A request as a scheduler has to know it.
package struct ScheduledRequest: Sendable {
    package enum Kind: Sendable, Hashable {
        /// Continues a text: keys and values are kept, the prompt may be read in chunks.
        case generation
        /// A text that is read in one piece, of which nothing is kept: embeddings, classes, tags, bidirectional texts.
        case uncut
        /// Continues a text in several ways at once, about a source of `sourceRows` that is read when it begins, in
        /// `blocks` of every group from its beginning to its end.
        case search(blocks: Int, sourceRows: Int)
    }

    package let id: Int
    package var kind = Kind.generation
    /// The prompt.
    package var tokens: [Int32]
    /// The maximum number of new tokens; 0 for texts that are only read.
    package var maximumNewTokens: Int
    /// The tenant whose request it is: queues are bounded, and admission takes turns, by tenant.
    package var tenant = 0
    /// The priority: higher is admitted first and preempted last; equals go by age.
    package var priority = 0
    /// The namespace of its keys and values, what they depend on besides tokens (model, adapter, cache type, tenant's
    /// salt); nil shares no beginnings.
    package var namespace: Int?

    package init(id: Int, tokens: [Int32], maximumNewTokens: Int) {
        (self.id, self.tokens, self.maximumNewTokens) = (id, tokens, maximumNewTokens)
    }
}

/// The reason why a request was not taken into the queue, with the numbers.
package enum SchedulerRefusal: Error, Sendable, Hashable {
    case empty
    case tooLong(positions: Int, context: Int)
    /// Never fits, even alone.
    case tooManyBlocks(needed: Int, group: Int, capacity: Int)
    case queueFull(requests: Int, limit: Int)
    case queueFullOfTokens(tokens: Int, limit: Int)
    case tenantQueueFull(requests: Int, limit: Int)
}

package struct SchedulerLimits: Sendable, Hashable {
    /// The maximum number of requests that run at once.
    package var slots = 32
    /// Positions of one request.
    package var context = Int.max
    package var waitingRequests = 256
    package var waitingTokens = 65_536
    package var waitingRequestsPerTenant = 256
    /// The number of rows up to which more of them cost little: drafts are only verified within.
    package var freeRows = 6

    package init() {}
}

/// The schedule of one step: what it computes.
package struct StepSchedule: Sendable, Hashable {
    /// Consecutive positions of one request.
    package struct Run: Sendable, Hashable {
        package let id: Int
        /// The slot of the request; nil for an uncut text.
        package let slot: Int?
        package let positions: Range<Int>
        /// The number of the last positions that are drafts to be verified.
        package let drafts: Int
        /// Positions whose logits are wanted: none in the middle of a prompt.
        package let wanted: Range<Int>
    }

    /// The first positions of a shared block go into a block of the request's own, before the step.
    package struct Copy: Sendable, Hashable {
        package let id: Int
        package let group: Int
        package let source: Int
        package let target: Int
        package let positions: Int
    }

    package var runs: [Run] = []
    package var copies: [Copy] = []
    /// Requests whose blocks were taken away; they wait again.
    package var preempted: [Int] = []
    /// Requests that begin, with how many of their tokens need not be computed.
    package var admitted: [(id: Int, known: Int)] = []

    package var rows: Int { runs.reduce(0) { $0 + $1.positions.count } }

    /// Takes out the runs of uncut texts, which are read in a pass of their own.
    package mutating func takeUncut() -> [Run] {
        guard runs.contains(where: { $0.slot == nil }) else { return [] }
        defer { runs.removeAll { $0.slot == nil } }
        return runs.filter { $0.slot == nil }
    }

    /// Empties it; the memory stays.
    mutating func removeAll() {
        runs.removeAll(keepingCapacity: true)
        copies.removeAll(keepingCapacity: true)
        preempted.removeAll(keepingCapacity: true)
        admitted.removeAll(keepingCapacity: true)
    }

    package static func == (a: StepSchedule, b: StepSchedule) -> Bool {
        a.runs == b.runs && a.copies == b.copies && a.preempted == b.preempted
            && a.admitted.map(\.id) == b.admitted.map(\.id) && a.admitted.map(\.known) == b.admitted.map(\.known)
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(runs) }
}

/// The outcome of a run.
package struct StepOutcome: Sendable, Hashable {
    package let id: Int
    /// The number of positions of the run whose keys and values stay: all but rejected drafts.
    package var accepted: Int
    /// Tokens that are known now: accepted drafts and what was chosen after them.
    package var appended: [Int32] = []
    package var finished = false

    package init(id: Int, accepted: Int, appended: [Int32] = [], finished: Bool = false) {
        (self.id, self.accepted, self.appended, self.finished) = (id, accepted, appended, finished)
    }
}

/// A request in the scheduler.
struct ScheduledEntry: Sendable {
    let request: ScheduledRequest
    let arrival: Int
    /// The prompt and what has been written.
    var tokens: [Int32]
    /// The number of positions whose keys and values are in blocks.
    var computed = 0
    var slot: Int?
    /// The blocks, by group and number; nil where one was given back behind a window.
    var blocks: [[Int?]]
    /// The runs of 64 tokens at the beginning whose blocks are registered.
    var serials: [UInt64] = []
    /// The number of rows of a prompt that it was owed and did not get.
    var deficit = 0
    /// Plans that passed it over.
    var passed = 0

    /// Blocks of each group that are the request's as long as it runs; nil for those that come and go.
    var reserved: Int? { if case .search(let blocks, _) = request.kind { blocks } else { nil } }
    /// Rows that are read when it begins, before its own.
    var sourceRows: Int { if case .search(_, let rows) = request.kind { rows } else { 0 } }

    init(_ request: ScheduledRequest, arrival: Int, groups: Int) {
        (self.request, self.arrival, tokens) = (request, arrival, request.tokens)
        blocks = Array(repeating: [], count: groups)
    }

    var left: Int { tokens.count - computed }
    var isWriting: Bool { left == 1 && request.kind != .uncut }
    /// Before another one: served first, admitted first, preempted last.
    func comesBefore(_ other: ScheduledEntry) -> Bool {
        (other.request.priority, arrival) < (request.priority, other.arrival)
    }
}
