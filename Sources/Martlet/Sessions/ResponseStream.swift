public import MartletGeneration

/// An answer while it is written: each element holds all of the text so far.
///
/// Ending the loop, or cancelling its task, ends the answer within one step and leaves the transcript as it was.
public struct ResponseStream: AsyncSequence, Sendable {
    /// The element: what is there so far.
    public typealias Element = Snapshot
    /// The error that ends the sequence.
    public typealias Failure = GenerationError

    let session: LanguageModelSession
    let prompt: String
    let options: GenerationOptions

    /// An answer so far.
    public struct Snapshot: Sendable, Hashable {
        /// The text so far.
        public let content: String
        /// The part of it that is new.
        public let delta: String
        /// The generation that wrote the answer, with its last piece.
        public let summary: GenerationSummary?
    }

    /// The finished answer.
    ///
    /// - Throws: ``GenerationError``, as ``LanguageModelSession/respond(to:options:)``.
    public func collect() async throws(GenerationError) -> LanguageModelSession.Response<String> {
        try await session.respond(to: prompt, options: options)
    }

    /// An iterator over the snapshots as they come; it begins the work.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(turn: ResponseTurn(session, prompt, options)) }

    /// The snapshots of one answer, in order.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let turn: ResponseTurn

        /// The answer after its next piece; nil after the last one, which is the one with a summary.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(GenerationError) -> Snapshot? {
            try await turn.next(isolation: actor)
        }
    }
}

/// One answer of a session in the making: rounds of generation, with the calls of tools between them.
final class ResponseTurn {
    /// The number of rounds of tool calls after which an answer is given up.
    private static let longest = 16

    private let session: LanguageModelSession
    private let options: GenerationOptions
    private let parser: ToolCallParser
    /// The entries that the answer adds to the transcript.
    private(set) var entries: [Transcript.Entry]
    private var pieces: GeneratedText.AsyncIterator?
    /// The text that this round wrote, and how much of it was given out.
    private var written = "", shown = 0
    private var rounds = 0
    private var progress = Progress.new

    /// The progress of the stream: asked for nothing yet, being read, or at its end.
    private enum Progress { case new, taken, finished }

    init(_ session: LanguageModelSession, _ prompt: String, _ options: GenerationOptions) {
        (self.session, self.options) = (session, options)
        entries = [.prompt(prompt)]
        parser = ToolCallParser(names: Set(session.tools.map { $0.name }))
    }

    /// An answer that nobody waits for any more leaves the transcript as it was.
    deinit { if progress == .taken { session.end(adding: []) } }

    /// The answer after its next piece; nil after the last one.
    func next(
        isolation actor: isolated (any Actor)? = #isolation
    ) async throws(GenerationError) -> ResponseStream.Snapshot? {
        do {
            return try await step(isolation: actor)
        } catch {
            if progress == .taken { session.end(adding: []) }
            progress = .finished
            throw error
        }
    }

    private func step(
        isolation actor: isolated (any Actor)?
    ) async throws(GenerationError) -> ResponseStream.Snapshot? {
        if progress == .new {
            try await session.begin()
            progress = .taken
        }
        while progress == .taken {
            if pieces == nil { pieces = try session.generate(after: entries, options).makeAsyncIterator() }
            guard let piece = try await pieces?.next(isolation: actor) else { throw GenerationError.cancelled }
            written += piece.text
            guard let summary = piece.summary else {
                if piece.text.isEmpty || parser.mayBecomeCall(written) { continue }
                return snapshot(nil)
            }
            let calls = parser.calls(in: written)
            guard !calls.isEmpty else { return finish(summary) }
            try await run(calls)
        }
        return nil
    }

    private func snapshot(_ summary: GenerationSummary?) -> ResponseStream.Snapshot {
        let utf8 = written.utf8
        let delta = String(written[utf8.index(utf8.startIndex, offsetBy: shown)...])
        shown = utf8.count
        return ResponseStream.Snapshot(content: written, delta: delta, summary: summary)
    }

    private func finish(_ summary: GenerationSummary) -> ResponseStream.Snapshot {
        entries.append(.response(written))
        session.end(adding: entries)
        progress = .finished
        return snapshot(summary)
    }

    /// Calls the tools and makes room for the next round.
    private func run(_ calls: [Transcript.ToolCall]) async throws(GenerationError) {
        rounds += 1
        guard rounds <= ResponseTurn.longest else {
            throw GenerationError(.tool, ["the model called tools \(rounds) times without an answer; ask otherwise"])
        }
        entries.append(.toolCalls(calls))
        for call in calls {
            guard let tool = session.tools.first(where: { $0.name == call.name }) else { continue }
            entries.append(.toolOutput(.init(name: call.name, content: try await tool.output(of: call))))
        }
        (written, shown, pieces) = ("", 0, nil)
    }
}
