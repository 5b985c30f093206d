import MartletFormats
import MartletGeneration
package import MartletJSON
package import MartletModels
import MartletPlatform
package import MartletTemplates
package import MartletTokenizers

/// The chat template that came with a model, and the names that it may read besides the messages (`bos_token` and its
/// like).
package struct ChatFormat: Sendable {
    package let template: ChatTemplate
    package let variables: JSONObject

    /// Reads the template of a model: `chat_template.jinja`, else `tokenizer_config.json`; a GGUF's metadata.
    ///
    /// - Throws: ``GenerationError`` when the model has none, or one that does not compile; what reading throws.
    package init(_ file: ModelFile, _ tokenizer: Tokenizer) throws {
        let found = try ChatFormat.source(of: file, tokenizer)
        variables = found.variables
        guard let source = found.template else {
            throw GenerationError(
                "\(file.path): the model has no chat template, so it was not made for conversations; use generate")
        }
        do {
            template = try ChatTemplate(source)
        } catch {
            throw GenerationError("\(file.path): the chat template cannot be used: \(error)")
        }
    }

    /// The format of `template`, which names nothing besides the messages.
    package init(_ template: ChatTemplate) { (self.template, variables) = (template, JSONObject()) }

    /// The format of a model, or what is wrong with it.
    package static func reading(_ file: ModelFile, _ tokenizer: Tokenizer) -> Result<ChatFormat, GenerationError> {
        Result { try ChatFormat(file, tokenizer) }.mapError(GenerationError.init(wrapping:))
    }

    /// The chat templates in a model's files: its template, the one that it has for conversations with tools besides,
    /// and the names that templates may read.
    package struct Source: Sendable {
        package var template: String?
        package var toolTemplate: String?
        package var variables = JSONObject()
    }

    /// Reads the templates of a model as they are, if it has any.
    package static func source(of file: ModelFile, _ tokenizer: Tokenizer) throws -> Source {
        switch file.container {
        case .gguf(let gguf): try template(of: tokenizer, gguf)
        case .directory(let path): try template(inDirectory: path)
        }
    }

    private static func template(of tokenizer: Tokenizer, _ gguf: GGUF) throws -> Source {
        var variables = JSONObject()
        let special = tokenizer.specialTokens
        for (name, id) in [("bos_token", special.beginning), ("eos_token", special.ends.first)] {
            variables[name] = id.flatMap { tokenizer.token($0) }.map { .string($0) }
        }
        // Further templates stand beside the one that is used where none is named.
        let tools = try gguf.metadata.string("tokenizer.chat_template.tool_use")
        return Source(template: tokenizer.chatTemplate, toolTemplate: tools, variables: variables)
    }

    private static func template(inDirectory path: String) throws -> Source {
        let file = path + "/tokenizer_config.json"
        let config = fileExists(file) ? try JSON(contentsOf: file).objectValue ?? JSONObject() : JSONObject()
        var variables = JSONObject()
        func content(_ token: JSON?) -> JSON? {
            (token?.stringValue ?? token?["content"]?.stringValue).map { .string($0) }
        }
        for role in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
            if let token = content(config[role + "_token"]) { variables[role + "_token"] = token }
        }
        // The tokens of one model, by the names that it gives them: image_token and its like.
        for (name, token) in config["extra_special_tokens"]?.objectValue?.members ?? [] {
            if let token = content(token) { variables[name] = token }
        }
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            if let tokens = config[key]?.arrayValue { variables[key] = .array(tokens.compactMap(content)) }
        }
        func jinja(_ name: String) throws -> String? {
            let place = "\(path)/\(name).jinja"
            return fileExists(place) ? String(decoding: try fileBytes(place), as: UTF8.self) : nil
        }
        // One template, or several of which one is for conversations without tools.
        func named(_ name: String) throws -> String? {
            if let own = try jinja("additional_chat_templates/" + name) { return own }
            let all = config["chat_template"]?.arrayValue
            return all?.first { $0["name"]?.stringValue == name }?["template"]?.stringValue
        }
        let single = try jinja("chat_template") ?? config["chat_template"]?.stringValue
        return Source(
            template: try single ?? named("default"), toolTemplate: try named("tool_use"), variables: variables)
    }

    /// The text of a transcript, up to where the model's answer begins.
    ///
    /// - Throws: ``GenerationError`` for a conversation that the template refuses.
    package func text(_ transcript: Transcript, tools: [any Tool] = []) throws(GenerationError) -> String {
        let definitions: JSON? = tools.isEmpty ? nil : .array(tools.map { $0.definition })
        do {
            return try ChatFormat.fitting(transcript.map { ChatFormat.message($0) }) { messages throws(TemplateError) in
                try template.render(messages: .array(messages), tools: definitions, variables: variables)
            }
        } catch {
            throw GenerationError("the chat template refuses this conversation: \(error)")
        }
    }

    /// An entry as chat templates read it.
    private static func message(_ entry: Transcript.Entry) -> JSON {
        switch entry {
        case .instructions(let text): ["role": "system", "content": .string(text)]
        case .prompt(let text): ["role": "user", "content": .string(text)]
        case .response(let text): ["role": "assistant", "content": .string(text)]
        case .toolOutput(let output):
            ["role": "tool", "name": .string(output.name), "content": .string(output.content)]
        case .toolCalls(let calls):
            ["role": "assistant", "content": "", "tool_calls": .array(calls.map { ChatFormat.call($0) })]
        }
    }

    private static func call(_ call: Transcript.ToolCall) -> JSON {
        let arguments = (try? JSON(parsing: call.arguments)) ?? [:]
        return ["type": "function", "function": ["name": .string(call.name), "arguments": arguments]]
    }
}
