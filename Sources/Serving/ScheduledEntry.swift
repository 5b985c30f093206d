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
