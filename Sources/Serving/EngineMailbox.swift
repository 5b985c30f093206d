import MartletPlatform
import Synchronization

/// The mailbox of an engine: what other threads tell its thread, and what they may know of it without waiting.
final class EngineMailbox: Sendable {
    /// A request on its way.
    struct Letter: Sendable {
        /// One number for each of its parts; the first one names it.
        let ids: Range<Int>
        let work: EngineWork
        let submitted: ContinuousClock.Instant
    }

    /// The mail, everything that arrived since the last step.
    struct Mail: Sendable {
        var letters: [Letter] = []
        var cancelled: [Int] = []
        var jobs: [@Sendable () -> Void] = []
        var isStopped = false

        var isEmpty: Bool { letters.isEmpty && cancelled.isEmpty && jobs.isEmpty && !isStopped }
    }

    /// The mail, and what is known of requests that have not begun.
    private struct State: Sendable {
        var mail = Mail()
        var lastID = 0
        /// The requests that have not begun: their tenants and how many tokens they have to read.
        var waiting: [Int: (tenant: Int, tokens: Int)] = [:]
        var waitingTokens = 0
        /// The number of requests that have not begun, by tenant.
        var tenants: [Int: Int] = [:]
        var metrics = EngineMetrics()
        var refused = 0
    }

    private let options: EngineOptions
    private let state = Mutex(State())
    private let signal = Signal()

    init(_ options: EngineOptions) { self.options = options }

    var metrics: EngineMetrics {
        state.withLock { state in
            var metrics = state.metrics
            (metrics.refused, metrics.waiting) = (state.refused, state.waiting.count)
            let mail = state.mail
            metrics.held.mail = mail.letters.count + mail.cancelled.count + mail.jobs.count
            return metrics
        }
    }

    /// - Returns: what the request is cancelled by.
    func submit(_ work: EngineWork) throws(EngineError) -> Int {
        let taken: Result<Int, EngineError> = state.withLock { state in
            if state.mail.isStopped { return .failure(.stopped) }
            if let reason = refusal(state, work) {
                state.refused += 1
                return .failure(.overloaded(reason))
            }
            let ids = state.lastID + 1..<state.lastID + 1 + work.parts
            state.lastID += work.parts
            state.waiting[ids.lowerBound] = (work.tenant, work.tokens)
            state.waitingTokens += work.tokens
            state.tenants[work.tenant, default: 0] += 1
            state.mail.letters.append(Letter(ids: ids, work: work, submitted: .now))
            return .success(ids.lowerBound)
        }
        signal.wakeAll()
        return try taken.get()
    }

    private func refusal(_ state: State, _ work: EngineWork) -> String? {
        let waiting = state.waiting.count
        if waiting >= options.waitingRequests {
            return "\(waiting) requests wait, of at most \(options.waitingRequests)"
        }
        let own = state.tenants[work.tenant] ?? 0
        if own >= options.waitingRequestsPerTenant {
            return "\(own) requests of the same client wait, of at most \(options.waitingRequestsPerTenant)"
        }
        guard waiting > 0, state.waitingTokens + work.tokens > options.waitingTokens else { return nil }
        return "\(state.waitingTokens) tokens wait, of at most \(options.waitingTokens)"
    }

    func cancel(_ id: Int) { tell { $0.mail.cancelled.append(id) } }
    func run(_ job: @escaping @Sendable () -> Void) { tell { $0.mail.jobs.append(job) } }
    func stop() { tell { $0.mail.isStopped = true } }

    /// The request waits no more: it has begun, or has ended.
    func begun(_ id: Int) {
        state.withLock { state in
            guard let known = state.waiting.removeValue(forKey: id) else { return }
            state.waitingTokens -= known.tokens
            let own = (state.tenants[known.tenant] ?? 1) - 1
            state.tenants[known.tenant] = own == 0 ? nil : own
        }
    }

    func publish(_ metrics: EngineMetrics) { state.withLock { $0.metrics = metrics } }

    private func tell(_ change: (inout State) -> Void) {
        state.withLock { change(&$0) }
        signal.wakeAll()
    }

    /// Returns what has arrived; waits for something where there is nothing else to do.
    func collect(waiting: Bool) -> Mail {
        signal.withLock {
            while true {
                let mail = state.withLock { state in
                    defer {
                        let isStopped = state.mail.isStopped
                        state.mail = Mail()
                        state.mail.isStopped = isStopped
                    }
                    return state.mail
                }
                if !waiting || !mail.isEmpty { return mail }
                signal.sleep()
            }
        }
    }
}
