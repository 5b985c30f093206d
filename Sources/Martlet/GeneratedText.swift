public import MartletGeneration
import MartletServing

/// A text that is being generated, piece by piece.
///
/// The request was checked before this exists; what can still go wrong while it is read is a ``GenerationError``.
/// Ending the loop, or cancelling its task, ends the generation within one step; a cancelled text ends with an error of
/// kind ``GenerationError/Kind/cancelled``, so that nobody takes a part for the whole.
public struct GeneratedText: AsyncSequence, Sendable {
    /// The element: a piece of the text.
    public typealias Element = GeneratedPiece
    /// The error that ends the sequence.
    public typealias Failure = GenerationError

    private let stream: EngineStream
    private let assembly: TextAssembly
    /// The model whose engine writes: it must not end before the text does.
    private let model: LanguageModel

    init(_ stream: EngineStream, _ assembly: TextAssembly, of model: LanguageModel) {
        (self.stream, self.assembly, self.model) = (stream, assembly, model)
    }

    /// The whole text, once it is finished.
    public func text() async throws(GenerationError) -> String {
        var text = ""
        for try await piece in self { text += piece.text }
        return text
    }

    /// An iterator over the pieces as they come; it begins the work.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream, assembly, of: model) }

    /// The pieces of one text, in order.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let stream: EngineStream
        private var tokens: EngineStream.Iterator
        private var assembly: TextAssembly
        private let model: LanguageModel
        private var isFinished = false

        fileprivate init(_ stream: EngineStream, _ assembly: TextAssembly, of model: LanguageModel) {
            (self.stream, self.assembly, self.model) = (stream, assembly, model)
            tokens = stream.makeAsyncIterator()
        }

        /// The next piece; nil after the last one, which is the one with a summary.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(GenerationError) -> GeneratedPiece? {
            guard !isFinished else { return nil }
            do {
                // A stream hands on what it holds even to a reader who was cancelled.
                try Task.checkCancellation()
                let piece = try await piece()
                isFinished = piece.summary != nil
                if isFinished { stream.cancel() }
                return piece
            } catch {
                isFinished = true
                stream.cancel()
                throw GenerationError(ending: error)
            }
        }

        private mutating func piece() async throws -> GeneratedPiece {
            if let token = try await tokens.next() { return try assembly.append(token, stream.progress) }
            return assembly.finish(stream.usage?.finish ?? .length, stream.progress)
        }
    }
}

extension GenerationError {
    /// The error for what ended a text before its end.
    fileprivate init(ending error: any Error) {
        self =
            switch error {
            case is CancellationError: .cancelled
            case let error as GenerationError: error
            case let error as EngineError: GenerationError(refusing: error, after: .failure)
            default: GenerationError(.failure, ["\(error)"])
            }
    }

    /// The error for what an engine refuses, or does not finish.
    init(refusing error: EngineError, after kind: Kind = .request) {
        if case .invalid(let offences) = error { self.init(.request, offences) } else { self.init(kind, ["\(error)"]) }
    }
}
