package import MartletGeneration
import Synchronization

/// What a finished request was.
package struct EngineUsage: Sendable, Hashable {
    package let finish: FinishReason
    package let promptTokens: Int
    /// How many of them were not computed, because another request began alike.
    package let sharedTokens: Int
    package let generatedTokens: Int
    /// How often its blocks were taken for an older request, and it was read again.
    package let preemptions: Int
    /// From the request to its first step.
    package let waitingSeconds: Double
    /// From its first step to the first token: the prompt is read in this time.
    package let promptSeconds: Double
    /// From the first token to the last.
    package let generationSeconds: Double
}

/// The tokens of one request, as they are written. Letting go of it cancels the request within one step.
///
/// The engine never waits for a reader: what is written stays here until it is read, at most as many tokens as were asked for.
package final class EngineStream: AsyncSequence, Sendable {
    package typealias Element = SampledToken

    let output = EngineOutput()
    private let onEnd: @Sendable () -> Void

    init(_ onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }

    /// Ends the request within one step; what was written before can still be read, then ``CancellationError`` is thrown.
    package func cancel() { onEnd() }

    /// What the request was; nil before its end, and where it failed.
    package var usage: EngineUsage? { output.usage }

    package func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let stream: EngineStream

        /// The next token; nil after the last one.
        ///
        /// - Throws: ``EngineError``; ``CancellationError`` where the request or the reading task was cancelled.
        package mutating func next() async throws -> SampledToken? {
            let stream = stream
            return try await withTaskCancellationHandler {
                try await stream.output.next()
            } onCancel: {
                stream.cancel()
            }
        }
    }
}

/// Between the engine's thread, which writes, and one reader.
final class EngineOutput: Sendable {
    private struct State: Sendable {
        var tokens: [SampledToken] = []
        var read = 0
        var end: Result<EngineUsage, any Error>?
        var reader: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var usage: EngineUsage? {
        state.withLock { try? $0.end?.get() }
    }

    /// - Returns: the reader to wake after the step, where one waits.
    func append(_ token: SampledToken) -> CheckedContinuation<Void, Never>? {
        state.withLock { state in
            state.tokens.append(token)
            return state.reader.take()
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
                return (state.tokens[state.read - 1], nil)
            }
            if let token { return token }
            if let end {
                _ = try end.get()
                return nil
            }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.read < state.tokens.count || state.end != nil { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }
}
