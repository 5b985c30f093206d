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
