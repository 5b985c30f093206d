import MartletFormats
import MartletJSON
import MartletModels
import MartletPlatform
public import MartletTemplates
import MartletTensors
public import MartletTokenizers

/// The messages of a conversation, and how its model reads them: the chat template that came with the model.
///
/// ```swift
/// var conversation = try Conversation(path: path, system: "Answer in one sentence.")
/// conversation.add(.user, "What is a martlet?")
/// for try await piece in model.generate(tokens: try conversation.prompt(model.tokenizer)) { print(piece, terminator: "") }
/// ```
public struct Conversation: Sendable {
    public enum Role: String, Sendable { case system, user, assistant }

    public private(set) var messages: [(role: Role, text: String)] = []
    private let template: ChatTemplate
    /// What a template may name besides the messages: bos_token, eos_token and their like.
    private let variables: JSONObject

    /// Reads the template of the model at `path`: `chat_template.jinja`, else `tokenizer_config.json`; a GGUF's metadata.
    ///
    /// - Throws: an error that says so when the model has none, or that it is not one.
    public init(path: String, system: String? = nil) throws {
        let (source, variables) = try Conversation.template(of: path)
        guard let source else {
            throw ModelError(
                "\(path): the model has no chat template, so it was not made for conversations; use generate")
        }
        template = try ChatTemplate(source)
        self.variables = variables
        if let system { add(.system, system) }
    }

    public mutating func add(_ role: Role, _ text: String) { messages.append((role, text)) }

    /// The text of all messages, up to where the model's answer begins.
    ///
    /// - Throws: ``TemplateError`` for messages that the template refuses.
    public func text() throws(TemplateError) -> String {
        let messages = messages.map { role, text -> JSON in ["role": .string(role.rawValue), "content": .string(text)] }
        return try template.render(messages: .array(messages), variables: variables)
    }

    /// The tokens of the same. What marks the structure is spelled by the template.
    public func prompt(_ tokenizer: Tokenizer) throws -> [Int32] {
        try tokenizer.encode(text(), addSpecialTokens: false)
    }

    private static func template(of path: String) throws -> (String?, JSONObject) {
        var variables = JSONObject()
        guard !path.utf8.suffix(5).elementsEqual(".gguf".utf8) else {
            let vocabulary = try ModelText.vocabulary(of: GGUF(contentsOf: path))
            for (name, id) in [("bos_token", vocabulary.beginningID), ("eos_token", vocabulary.endID)] {
                guard let id, vocabulary.tokens.indices.contains(Int(id)) else { continue }
                variables[name] = .string(String(decoding: vocabulary.tokens[Int(id)], as: UTF8.self))
            }
            return (vocabulary.chatTemplate, variables)
        }
        let file = path + "/tokenizer_config.json"
        let config = fileExists(file) ? try JSON(contentsOf: file).objectValue ?? JSONObject() : JSONObject()
        for role in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
            let value = config[role + "_token"]
            if let text = value?.stringValue ?? value?["content"]?.stringValue {
                variables[role + "_token"] = .string(text)
            }
        }
        let own = path + "/chat_template.jinja"
        if fileExists(own) {
            return (String(decoding: try Storage(mapping: own).contents, as: UTF8.self), variables)
        }
        // One template, or several of which one is for conversations without tools.
        let named = config["chat_template"]?.arrayValue?.first { $0["name"]?.stringValue == "default" }
        return (config["chat_template"]?.stringValue ?? named?["template"]?.stringValue, variables)
    }
}
