import MartletJSON
import Synchronization

/// A request as it came over the wire: method, path, header fields, body.
package struct APIRequest: Sendable {
    package var method: String
    package var path: String
    /// The header fields, names in lower case; of several fields of one name the last.
    package var headers: [String: String]
    package var body: [UInt8]
    /// The cancellation, which ends the work for this request when the client has gone.
    package let cancellation: Cancellation

    package init(
        method: String, path: String, headers: [String: String] = [:], body: [UInt8] = [],
        cancellation: Cancellation = Cancellation()
    ) {
        (self.method, self.path, self.headers, self.body) = (method, path, headers, body)
        self.cancellation = cancellation
    }
}

/// An answer: whole, or written piece by piece.
package struct APIResponse: Sendable {
    /// A sink, which takes the next bytes of a stream; suspends while the client reads slowly, and throws when it has
    /// gone.
    package typealias Sink = ([UInt8]) async throws -> Void

    package enum Body: Sendable {
        case whole([UInt8])
        case stream(@Sendable (Sink) async throws -> Void)
    }

    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: Body

    init(status: Int = 200, type: String, _ body: Body) {
        (self.status, self.body) = (status, body)
        headers = [("content-type", type)]
    }

    init(_ json: JSON, status: Int = 200) {
        self.init(status: status, type: "application/json", .whole(json.serialized()))
    }

    package init(_ error: APIError) {
        self.init(error.body, status: error.status)
        headers += error.headers
    }

    /// Server-sent events.
    static func events(_ write: @escaping @Sendable (Sink) async throws -> Void) -> APIResponse {
        var response = APIResponse(type: "text/event-stream; charset=utf-8", .stream(write))
        response.headers += [("cache-control", "no-cache"), ("x-accel-buffering", "no")]
        return response
    }
}

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

/// Events from any thread for one reader, who takes all that came at once.
final class Mailbox<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        var waiter: CheckedContinuation<Void, Never>?
        var isClosed = false
    }
    private let state = Mutex(State())

    func post(_ event: Event) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isClosed else { return nil }
            state.events.append(event)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Takes no more events, and wakes the reader.
    func close() {
        let waiter = state.withLock { state in
            state.isClosed = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns the events since the last call, at least one; empty once closed and read.
    func next() async -> [Event] {
        while true {
            let (events, isClosed) = state.withLock { state in
                defer { state.events = [] }
                return (state.events, state.isClosed)
            }
            if !events.isEmpty || isClosed { return events }
            await withCheckedContinuation { waiter in
                let isReady = state.withLock { state in
                    let isReady = !state.events.isEmpty || state.isClosed
                    if !isReady { state.waiter = waiter }
                    return isReady
                }
                if isReady { waiter.resume() }
            }
        }
    }
}
