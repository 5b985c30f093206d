import MartletGeneration
import Synchronization

/// The output of a request, between the engine's thread, which writes, and one reader.
final class EngineOutput: Sendable {
    /// The tokens so far, how many were read, and how the request ended.
    private struct State: Sendable {
        var tokens: [SampledToken] = []
        var read = 0
        var end: Result<EngineUsage, any Error>?
        var progress = EngineProgress()
        var reader: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var usage: EngineUsage? { state.withLock { try? $0.end?.get() } }
    var progress: EngineProgress { state.withLock { $0.progress } }

    // Each of these returns the reader to wake after the step, where one waits.

    /// - Returns: nil where the request has begun before; else its reader, nil where none waits.
    func begin(shared: Int) -> CheckedContinuation<Void, Never>?? {
        state.withLock { state in
            guard state.progress.began == nil else { return nil }
            (state.progress.began, state.progress.sharedTokens) = (.now, shared)
            return .some(state.reader.take())
        }
    }

    func append(_ token: SampledToken) -> (reader: CheckedContinuation<Void, Never>?, isFirst: Bool) {
        state.withLock { state in
            let (now, isFirst) = (ContinuousClock.now, state.progress.firstToken == nil)
            if isFirst { state.progress.firstToken = now }
            state.progress.lastToken = now
            state.tokens.append(token)
            return (state.reader.take(), isFirst)
        }
    }

    func note(guessed: Int, accepted: Int) {
        state.withLock { state in
            state.progress.guessedTokens += guessed
            state.progress.acceptedTokens += accepted
        }
    }

    func finish(_ end: Result<EngineUsage, any Error>) -> CheckedContinuation<Void, Never>? {
        state.withLock { state in
            if state.end == nil { state.end = end }
            return state.reader.take()
        }
    }

    func next() async throws -> SampledToken? {
        while true {
            let (token, end) = state.withLock { state -> (SampledToken?, Result<EngineUsage, any Error>?) in
                guard state.read < state.tokens.count else { return (nil, state.end) }
                state.read += 1
                let token = state.tokens[state.read - 1]
                // What was read makes room for what comes.
                if state.read == state.tokens.count {
                    state.tokens.removeAll(keepingCapacity: true)
                    state.read = 0
                }
                return (token, nil)
            }
            if let token { return token }
            if let end {
                _ = try end.get()
                return nil
            }
            await sleep { $0.read < $0.tokens.count || $0.end != nil }
        }
    }

    func beginning() async {
        while state.withLock({ $0.progress.began == nil && $0.end == nil }) {
            await sleep { $0.progress.began != nil || $0.end != nil }
        }
    }

    /// Waits for the next change, unless what is waited for is there.
    private func sleep(unless isReady: @Sendable (borrowing State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let goesOn = state.withLock { state in
                if isReady(state) { return true }
                state.reader = continuation
                return false
            }
            if goesOn { continuation.resume() }
        }
    }
}
