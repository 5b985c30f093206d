/// The limits of a scheduler: what runs, and what waits.
package struct SchedulerLimits: Sendable, Hashable {
    /// The maximum number of requests that run at once.
    package var slots = 32
    /// The maximum number of positions of one request.
    package var context = Int.max
    /// The maximum number of requests that wait.
    package var waitingRequests = 256
    /// The maximum number of prompt tokens of those that wait.
    package var waitingTokens = 65_536
    /// The maximum number of waiting requests of one tenant.
    package var waitingRequestsPerTenant = 256
    /// The number of rows up to which more of them cost little: drafts are only verified within.
    package var freeRows = 6

    package init() {}
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
