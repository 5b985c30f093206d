import Synchronization

/// The cancellation of a request's work before its end: whoever does the work registers how, whoever sees the client
/// leave says so.
package final class Cancellation: Sendable {
    private struct State {
        var reason: (any Error)?
        var actions: [@Sendable (any Error) -> Void] = []
    }
    private let state = Mutex(State())

    package init() {}

    package var isCancelled: Bool { reason != nil }

    /// The reason why it was cancelled; nil while it was not.
    var reason: (any Error)? { state.withLock { $0.reason } }

    /// Calls every registered action once.
    ///
    /// - Parameter reason: What the client is told, if it is still there: an ``APIError``; `CancellationError` when it
    ///   has gone.
    package func cancel(_ reason: any Error = CancellationError()) {
        let actions = state.withLock { state in
            if state.reason == nil { state.reason = reason }
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action(reason) }
    }

    /// Registers what cancelling does; at once when that has happened.
    func onCancel(_ action: @escaping @Sendable (any Error) -> Void) {
        let reason = state.withLock { state in
            if state.reason == nil { state.actions.append(action) }
            return state.reason
        }
        if let reason { action(reason) }
    }

    /// - Throws: the reason, once cancelled.
    func check() throws {
        if let reason { throw reason }
    }

    /// Forgets the registered actions: the work is done.
    func finish() { state.withLock { $0.actions = [] } }
}
