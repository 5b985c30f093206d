package import MartletGeneration
import Synchronization

/// The tokens of one request, as they are written. Letting go of it cancels the request within one step.
///
/// The engine never waits for a reader: what is written stays here until it is read, at most as many tokens as were
/// asked for.
package final class EngineStream: AsyncSequence, Sendable {
    package typealias Element = SampledToken

    private let output: EngineOutput
    private let onEnd: @Sendable () -> Void

    init(_ output: EngineOutput, _ onEnd: @escaping @Sendable () -> Void) {
        (self.output, self.onEnd) = (output, onEnd)
    }

    deinit { onEnd() }

    /// Ends the request within one step; what was written before can still be read, then ``CancellationError`` is
    /// thrown.
    package func cancel() { onEnd() }

    /// The usage of the request; nil before its end, and where it failed.
    package var usage: EngineUsage? { output.usage }

    package var progress: EngineProgress { output.progress }

    /// Waits until the request has left the queue, or has ended.
    package func beginning() async { await output.beginning() }

    package func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    /// The iterator over a request's tokens.
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
