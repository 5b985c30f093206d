public import MartletGeneration
public import MartletTemplates
import Synchronization

/// A conversation with a language model, in the form that its own chat template gives to messages.
///
/// ```swift
/// let session = model.session(instructions: "Answer in one sentence.")
/// let response = try await session.respond(to: "What is a martlet?")
/// print(response.content)
/// ```
///
/// The session keeps the transcript. The model remembers the KV cache of what was said, as long as there is room, so
/// that a long conversation is not read from its beginning at every turn. It answers one prompt at a time; a request
/// that fails or is cancelled leaves the transcript as it was. Names and shapes follow Apple's FoundationModels.
public final class LanguageModelSession: Sendable {
    /// The model that answers.
    public let model: LanguageModel
    let tools: [any Tool]
    private let format: Result<ChatFormat, GenerationError>
    private let state: Mutex<State>

    /// The conversation so far, and what is under way.
    private struct State {
        var transcript: Transcript
        var isResponding = false
        var warming: Task<Void, Never>?
    }

    /// A new conversation.
    ///
    /// - Parameters:
    ///   - tools: what the model may call while it answers, where its template knows of tools.
    ///   - instructions: what the model is told before the conversation begins.
    ///   - template: the chat template; nil takes the model's own.
    public convenience init(
        model: LanguageModel, tools: [any Tool] = [], instructions: String? = nil, template: ChatTemplate? = nil
    ) {
        let entries = instructions.map { [Transcript.Entry.instructions($0)] } ?? []
        self.init(model: model, tools: tools, transcript: Transcript(entries: entries), template: template)
    }

    /// A conversation that goes on from `transcript`.
    public init(
        model: LanguageModel, tools: [any Tool] = [], transcript: Transcript, template: ChatTemplate? = nil
    ) {
        (self.model, self.tools) = (model, tools)
        format = template.map { .success(ChatFormat($0)) } ?? model.chat
        state = Mutex(State(transcript: transcript))
    }

    /// The transcript, everything that was said so far.
    public var transcript: Transcript { state.withLock { $0.transcript } }

    /// True while an answer is being written.
    public var isResponding: Bool { state.withLock { $0.isResponding } }

    /// An answer that is finished.
    public struct Response<Content: Sendable>: Sendable {
        /// The answer.
        public let content: Content
        /// The entries that this answer added to the transcript: the prompt, calls of tools and their outputs, the
        /// answer.
        public let transcriptEntries: [Transcript.Entry]
        /// The generation that wrote the answer.
        public let summary: GenerationSummary
    }

    /// The answer to `prompt`, once it is finished.
    ///
    /// - Throws: ``GenerationError``: a model without a chat template, a conversation longer than the context, a tool
    ///   that failed, a cancelled task, or a session that is answering already.
    @discardableResult
    public func respond(
        to prompt: String, options: GenerationOptions? = nil
    ) async throws(GenerationError) -> Response<String> {
        let turn = ResponseTurn(self, prompt, options ?? GenerationOptions(model.defaults))
        while let snapshot = try await turn.next() {
            guard let summary = snapshot.summary else { continue }
            return Response(content: snapshot.content, transcriptEntries: turn.entries, summary: summary)
        }
        throw GenerationError.cancelled
    }

    /// The answer to `prompt` as it is written. What is wrong with the request is thrown before the first piece.
    public func streamResponse(
        to prompt: String, options: GenerationOptions? = nil
    ) -> ResponseStream {
        ResponseStream(session: self, prompt: prompt, options: options ?? GenerationOptions(model.defaults))
    }

    /// Reads the instructions, and what every prompt begins with, ahead of the first prompt. A hint: it never fails.
    ///
    /// - Parameter promptPrefix: what the next prompt begins with, where that is known.
    public func prewarm(promptPrefix: String? = nil) {
        let (prefix, options) = (promptPrefix ?? "", GenerationOptions(maximumTokens: 1, endOfText: .ignored))
        // What two different prompts have in common is what any prompt begins with.
        let prompts = ["a", "1"].compactMap { try? tokens(transcript, adding: [.prompt(prefix + $0)]) }
        guard prompts.count == 2 else { return }
        let common = zip(prompts[0], prompts[1]).prefix { $0 == $1 }.map { $0.0 }
        guard !common.isEmpty else { return }
        let task = Task { [model] in _ = try? await model.generate(tokens: common, options).text() }
        state.withLock { $0.warming = task }
    }

    // MARK: - Turns

    /// The tokens of the transcript and `entries`, up to where the model's answer begins.
    private func tokens(
        _ transcript: Transcript, adding entries: [Transcript.Entry]
    ) throws(GenerationError) -> [Int32] {
        var transcript = transcript
        transcript.append(contentsOf: entries)
        let text = try format.get().text(transcript, tools: tools)
        do {
            // What marks the structure is spelled by the template.
            return try model.tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw GenerationError("\(error)")
        }
    }

    /// Takes the session for one answer.
    ///
    /// - Throws: ``GenerationError`` when it is answering already.
    func begin() async throws(GenerationError) {
        let (isBusy, warming) = state.withLock { state in
            let wasResponding = state.isResponding
            state.isResponding = true
            return (wasResponding, state.warming)
        }
        guard !isBusy else {
            throw GenerationError("this session is answering already; wait for the answer, or use another session")
        }
        await warming?.value
    }

    /// The generation that follows the transcript and `entries`.
    func generate(
        after entries: [Transcript.Entry], _ options: GenerationOptions
    ) throws(GenerationError) -> GeneratedText {
        try model.generate(tokens: tokens(transcript, adding: entries), options, continuing: [])
    }

    /// Ends an answer, which adds `entries` to the transcript.
    func end(adding entries: [Transcript.Entry]) {
        state.withLock { state in
            state.transcript.append(contentsOf: entries)
            state.isResponding = false
        }
    }
}

extension LanguageModel {
    /// A new conversation with this model, by its own chat template.
    ///
    /// - Parameters:
    ///   - instructions: what the model is told before the conversation begins.
    ///   - tools: what the model may call while it answers.
    ///   - template: the chat template; nil takes the model's own.
    public func session(
        instructions: String? = nil, tools: [any Tool] = [], template: ChatTemplate? = nil
    ) -> LanguageModelSession {
        LanguageModelSession(model: self, tools: tools, instructions: instructions, template: template)
    }
}
