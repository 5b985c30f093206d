import Synchronization

/// The results of a request of several parts, which its reader gets together: between the engine's thread, which
/// writes, and one reader.
final class WorkOutput<Value: Sendable>: Sendable {
    /// The results so far, and how many are missing.
    private struct State: Sendable {
        var results: [Value?]
        var left: Int
        var error: (any Error)?
        var reader: CheckedContinuation<Void, Never>?

        var isReady: Bool { left == 0 || error != nil }
    }

    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(results: Array(repeating: nil, count: count), left: count)) }

    // Both return the reader to wake after the step, where one waits.

    func put(_ value: Value, at index: Int) -> CheckedContinuation<Void, Never>? {
        state.withLock { state in
            if state.results[index] == nil { state.left -= 1 }
            state.results[index] = value
            return state.left == 0 ? state.reader.take() : nil
        }
    }

    func fail(_ error: any Error) -> CheckedContinuation<Void, Never>? {
        state.withLock { state in
            if !state.isReady { state.error = error }
            return state.reader.take()
        }
    }

    /// Waits for all results.
    ///
    /// - Throws: what the request failed with.
    func all() async throws -> [Value] {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if !state.isReady { state.reader = continuation }
                return state.isReady
            }
            if isReady { continuation.resume() }
        }
        return try state.withLock { state in
            if let error = state.error { throw error }
            return state.results.compactMap(\.self)
        }
    }
}
