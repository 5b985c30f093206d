import Martlet
import MartletGeneration
import MartletTokenizers

/// A chat request that has been checked, with its prompt in tokens.
struct ChatPreparation: Sendable {
    let request: ChatRequest
    let model: ServedModel
    let tokenizer: Tokenizer
    let prompt: [Int32]
    let structure: AnswerAssembly.Structure
    private let constraint: (any TokenConstraint)?
    let admission: Ending
    private let engine: any TextEngine

    init(_ fields: Fields, _ model: ServedModel, _ job: Job) throws {
        try self.init(ChatRequest(fields, model), model, job)
    }

    init(_ request: ChatRequest, _ model: ServedModel, _ job: Job) throws {
        let (language, engine) = try model.text()
        (self.request, self.model, tokenizer, self.engine) = (request, model, language.tokenizer, engine)
        let chat = try model.neededChat()
        var text = try chat.prompt(request, tokenizer)
        var structure = AnswerAssembly.Structure()
        if request.toolChoice != .none { structure.tools = chat.tools }
        structure.callsOnce = !request.callsInParallel
        let forced = ForcedForm(request, chat.tools)
        constraint = try forced?.constraint(model)
        if let forced {
            guard request.beginning.isEmpty else {
                throw APIError.unsupported(
                    "An answer that has a form, or is a call, cannot go on with a beginning; leave one out.", "messages"
                )
            }
            // What has a form is the answer, without thinking before it.
            chat.closeThinking(&text)
            (structure.written, structure.end) = (forced.beginning, forced.end)
        } else {
            structure.isThinking = chat.isThinking(after: text.text)
            structure.thinks = chat.thinks && request.beginning.isEmpty
        }
        var tokens = try text.tokens(tokenizer)
        if !structure.written.isEmpty {
            tokens += try tokenizer.encode(structure.written, addSpecialTokens: false)
        }
        if !request.beginning.isEmpty { structure.continued = tokens }
        (prompt, self.structure) = (tokens, structure)
        try model.check(prompt: prompt, "messages")
        admission = try job.service.admit(promptTokens: prompt.count)
    }

    func run(_ job: Job) -> AnswerRun {
        AnswerRun(model, tokenizer, engine, prompt: prompt, request.generation, structure, constraint: constraint, job)
    }
}

extension ServedModel {
    /// - Throws: ``APIError`` for a model that was not made for conversations.
    func neededChat() throws(APIError) -> ConversationFormat {
        guard let chat else {
            throw .invalid(
                "The model \(name.quoted) has no chat template: it was not made for conversations; ask /v1/completions.",
                "model", code: "model_not_suited")
        }
        return chat
    }
}
