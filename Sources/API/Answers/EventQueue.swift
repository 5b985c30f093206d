import Synchronization

/// A queue of events from any thread for one reader, who takes all that came at once.
final class EventQueue<Event: Sendable>: Sendable {
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
