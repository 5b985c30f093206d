public import MartletGeneration

/// A text that is being generated, piece by piece.
///
/// The request was checked before this exists; what can still go wrong while it is read is a ``GenerationError``.
/// Ending the loop, or cancelling its task, ends the generation within one step; a cancelled text ends with an error of kind
/// ``GenerationError/Kind/cancelled``, so that nobody takes a part for the whole.
public struct GeneratedText: AsyncSequence, Sendable {
    public typealias Element = GeneratedPiece
    public typealias Failure = GenerationError

    private let pieces: AsyncThrowingStream<GeneratedPiece, any Error>

    init(_ pieces: AsyncThrowingStream<GeneratedPiece, any Error>) { self.pieces = pieces }

    /// The whole text, once it is finished.
    public func text() async throws(GenerationError) -> String {
        var text = ""
        for try await piece in self { text += piece.text }
        return text
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: pieces.makeAsyncIterator()) }

    /// The pieces of one text, in order.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var pieces: AsyncThrowingStream<GeneratedPiece, any Error>.Iterator
        private var isFinished = false

        init(pieces: AsyncThrowingStream<GeneratedPiece, any Error>.Iterator) { self.pieces = pieces }

        /// The next piece; nil after the last one, which is the one with a summary.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(GenerationError) -> GeneratedPiece? {
            guard !isFinished else { return nil }
            // A stream hands on what it holds even to a reader who was cancelled.
            guard !Task.isCancelled else {
                isFinished = true
                throw GenerationError.cancelled
            }
            do {
                guard let piece = try await pieces.next(isolation: actor) else { throw GenerationError.cancelled }
                isFinished = piece.summary != nil
                return piece
            } catch let error as GenerationError {
                isFinished = true
                throw error
            } catch {
                isFinished = true
                throw GenerationError(.failure, ["\(error)"])
            }
        }
    }
}
