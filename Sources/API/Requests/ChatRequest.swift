import MartletJSON

/// A conversation to go on with, from the body of `/v1/chat/completions` (OpenAI's fields, and the peers' common
/// extras).
struct ChatRequest: Sendable {
    var messages: [JSON]
    /// The beginning of the answer, which the model goes on with: the text of the last message, where that is to be
    /// continued; else empty.
    var beginning: String
    var tools: [ToolDefinition]
    var toolChoice: ToolChoice
    /// True where one answer may hold several calls.
    var callsInParallel: Bool
    var format: AnswerFormat
    var generation: GenerationFields
    /// The variables that the template may read besides: `enable_thinking`, `reasoning_effort`.
    var templateVariables: JSONObject
    /// True where special tokens spelled in messages count as such; false keeps them plain text.
    var parsesSpecialTokens: Bool

    init(_ fields: Fields, _ model: ServedModel) throws(APIError) {
        guard let given = try fields.array("messages", atMost: 10_000) else { throw fields.missing("messages") }
        guard !given.isEmpty else { throw .invalid("messages is empty; give at least one.", "messages") }
        messages = try given.enumerated().map { index, message throws(APIError) in
            try ChatMessage.normalised(message, at: "messages[\(index)]")
        }
        beginning = try fields.bool("continue_final_message") ?? false ? ChatRequest.beginning(from: &messages) : ""
        (tools, toolChoice) = try ToolChoice.read(fields, ToolDefinition.list(fields))
        callsInParallel = try fields.bool("parallel_tool_calls") ?? true
        format = try AnswerFormat(fields)
        generation = try GenerationFields(fields, defaults: model.sampling, vocabulary: model.vocabularySize)
        try generation.takeProbabilities(fields)
        try ChatRequest.refuse(fields)
        templateVariables = try fields.object("chat_template_kwargs")?.object ?? JSONObject()
        if let effort = try fields.string("reasoning_effort") {
            templateVariables["reasoning_effort"] = .string(effort)
            // Templates that let thinking be left out know it by another name.
            if effort == "none" {
                templateVariables["enable_thinking"] = templateVariables["enable_thinking"] ?? false
            }
        }
        parsesSpecialTokens = try fields.bool("parse_special") ?? false
    }

    /// Takes the assistant's last message, which the answer goes on with.
    private static func beginning(from messages: inout [JSON]) throws(APIError) -> String {
        guard let last = messages.popLast(), last["role"] == "assistant", last["tool_calls"] == nil,
            let text = last["content"]?.stringValue, !text.isEmpty
        else {
            throw .invalid(
                "continue_final_message is true, but the last message is no text of the assistant.",
                "continue_final_message")
        }
        guard last["reasoning_content"] == nil else {
            throw .unsupported(
                "The last message, which is to be continued, holds thinking besides its text; leave that out.",
                "messages")
        }
        guard !messages.isEmpty else {
            throw .invalid("messages holds only the beginning of the answer; give a question.", "messages")
        }
        return text
    }

    /// Values that are known to OpenAI and not served here.
    private static func refuse(_ fields: Fields) throws(APIError) {
        let modalities = try fields.strings("modalities", atMost: 8) ?? []
        if modalities.contains(where: { $0 != "text" }) {
            throw .unsupported("This server answers with text only.", "modalities")
        }
        for name in ["audio", "web_search_options"] where fields[name] != nil {
            throw .unsupported("\(name) is not served here; leave it out.", name)
        }
        for name in ["functions", "function_call"] where fields[name].map({ $0 != [] }) ?? false {
            throw .unsupported("\(name) is no longer read; say the same by tools and tool_choice.", name)
        }
    }
}
