/// The reason why a choice ended, as OpenAI spells it.
enum AnswerFinish: String, Sendable {
    /// A stop token or stop text, or the end of the form that the answer must have.
    case stop
    /// The length: as many tokens as were asked for, or the end of the model's context.
    case length
    /// A complete call of a function.
    case toolCalls = "tool_calls"
}
