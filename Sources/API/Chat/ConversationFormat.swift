import Martlet
import MartletJSON
import MartletModels
import MartletTemplates
import MartletTokenizers

/// The conversation format of a model: its chat template, the form of its tool calls, the marks around its thinking.
package struct ConversationFormat: Sendable {
    private let template: ChatTemplate
    /// The template for conversations with tools, where the model has one of its own for them.
    private let toolTemplate: ChatTemplate?
    private let variables: JSONObject
    private let source: [UInt8]
    let tools: ToolFormat
    /// True where the template says by itself which tools there are.
    private let namesTools: Bool
    /// True where answers may begin with a part between `<think>` and `</think>`.
    let thinks: Bool

    /// - Returns: nil for a model without a template.
    init?(_ file: ModelFile, _ tokenizer: Tokenizer) throws {
        let found = try ChatFormat.source(of: file, tokenizer)
        guard let source = found.template else { return nil }
        template = try ChatTemplate(source)
        toolTemplate = try found.toolTemplate.map { try ChatTemplate($0) }
        variables = found.variables
        self.source = Array((source + (found.toolTemplate ?? "")).utf8)
        let read = found.toolTemplate ?? source
        tools = ToolFormat(template: read)
        namesTools = found.toolTemplate != nil || ConversationFormat.mentions("tools", in: source)
        thinks = ConversationFormat.mentions("<think>", in: source)
    }

    static func mentions(_ word: String, in text: String) -> Bool {
        CallParser.first(Array(word.utf8), in: Array(text.utf8)) != nil
    }

    /// True where the prompt ends within the part for thinking.
    func isThinking(after text: String) -> Bool {
        guard thinks else { return false }
        var bytes = Array(text.utf8.suffix(32))
        while let last = bytes.last, CallParser.isBlank(last) { bytes.removeLast() }
        return bytes.suffix(7).elementsEqual("<think>".utf8)
    }

    /// Closes thinking that the prompt has opened, as models know it.
    func closeThinking(_ prompt: inout GuardedText) {
        guard isThinking(after: prompt.text) else { return }
        prompt.text += prompt.text.utf8.last == 0x0A ? "\n</think>\n\n" : "\n\n</think>\n\n"
    }

    /// Adds the beginning of the answer, in which the client's text is no structure.
    private func begin(_ prompt: inout GuardedText, _ request: ChatRequest) {
        closeThinking(&prompt)
        let start = prompt.text.utf8.count
        prompt.text += request.beginning
        if !request.parsesSpecialTokens { prompt.plainRanges.append(start..<prompt.text.utf8.count) }
    }

    /// The text of a conversation up to where the answer begins, or goes on, and where in it special tokens must stay
    /// plain text.
    ///
    /// - Throws: ``APIError`` for messages that the template refuses.
    func prompt(_ request: ChatRequest, _ tokenizer: Tokenizer) throws(APIError) -> GuardedText {
        var messages = request.messages
        let tools = request.toolChoice == .none ? [] : request.tools
        if !tools.isEmpty && !namesTools { messages = self.tools.announcing(tools, in: messages) }
        if self.tools == .mistral { messages = messages.map(ToolFormat.withShortNames) }
        var variables = variables
        for (key, value) in request.templateVariables.members { variables[key] = value }
        let definitions = JSON.array(tools.map(\.definition))
        let all: JSON = [.array(messages), definitions]
        let tokenGuard = request.parsesSpecialTokens ? nil : TokenGuard(tokenizer, template: source, messages: all)
        guard tokenGuard != nil || request.parsesSpecialTokens else {
            throw .invalid("The messages hold all of the noncharacters U+FDD0 to U+FDEF; take some out.", "messages")
        }
        do {
            let text = try rendered(messages, tools.isEmpty ? nil : definitions, variables, tokenGuard)
            var prompt = tokenGuard?.unmarked(text) ?? GuardedText(text: text, plainRanges: [])
            if !request.beginning.isEmpty { begin(&prompt, request) }
            return prompt
        } catch let error where error.kind == .limit {
            throw .invalid(
                "The conversation is too long for the model's chat template (\(error.message)); shorten it.",
                "messages",
                code: "context_length_exceeded")
        } catch {
            throw .invalid("The model's chat template refuses the conversation: \(error)", "messages")
        }
    }

    /// The text that the template makes of a conversation; of one that it refuses, as a stricter template takes it.
    private func rendered(
        _ messages: [JSON], _ tools: JSON?, _ variables: JSONObject, _ tokenGuard: TokenGuard?
    ) throws(TemplateError) -> String {
        let template = tools == nil ? template : toolTemplate ?? template
        let named = namesTools ? tools.map { tokenGuard?.marked($0) ?? $0 } : nil
        return try ChatFormat.fitting(messages) { messages throws(TemplateError) in
            try template.render(
                messages: tokenGuard?.marked(messages: messages) ?? .array(messages), tools: named,
                variables: variables)
        }
    }
}
