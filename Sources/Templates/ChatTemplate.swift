public import MartletJSON

/// A chat template, the Jinja2 template that came with a model: it turns a conversation into the text that the model
/// was trained on.
///
/// Renders as transformers does: Jinja2 3.1.6 in its immutable sandbox, with `trim_blocks`, `lstrip_blocks`, loop
/// controls, `tojson`, `raise_exception`, `strftime_now`. Written here from the language's documentation; nothing of
/// the host can be reached, and steps, output and depth are limited.
public struct ChatTemplate: Sendable {
    /// The limits of a rendering.
    public struct Limits: Sendable {
        /// The maximum number of steps: values and nodes looked at; every 16 bytes of text made or compared count as
        /// one more.
        public var steps = 1_000_000
        /// The maximum length of the text written, in bytes.
        public var outputBytes = 1 << 24

        /// The limits as they are by default.
        public init() {}
    }

    /// The maximum length of a template, in bytes.
    public static let maximumBytes = 1 << 20

    private let program: TemplateProgram

    /// - Throws: ``TemplateError`` for what Jinja2 would not compile.
    public init(_ source: String) throws(TemplateError) {
        guard source.utf8.count <= ChatTemplate.maximumBytes else {
            throw TemplateError(.limit, "a template of \(source.utf8.count) bytes, over \(ChatTemplate.maximumBytes)")
        }
        program = try TemplateParser.parse(source)
    }

    /// The prompt text of a conversation.
    ///
    /// - Parameters:
    ///   - messages: An array of objects with `role` and `content`, and what else the template reads.
    ///   - tools: The tools that the model may call, as JSON schemas; nil: none, which templates see as `none`.
    ///   - documents: The documents that the answer is to rest on; nil: none.
    ///   - addGenerationPrompt: Ends with what begins the model's answer.
    ///   - variables: More names that the template may read, such as `bos_token`.
    /// - Throws: ``TemplateError``, kind ``TemplateError/Kind/raised`` when the template refuses the conversation.
    public func render(
        messages: JSON, tools: JSON? = nil, documents: JSON? = nil, addGenerationPrompt: Bool = true,
        variables: JSONObject = JSONObject(), limits: Limits = Limits(), now: ((_ format: String) -> String)? = nil
    ) throws(TemplateError) -> String {
        var all = variables
        all["messages"] = messages
        all["tools"] = tools ?? .null
        all["documents"] = documents ?? .null
        all["add_generation_prompt"] = .bool(addGenerationPrompt)
        return try render(all, limits: limits, now: now)
    }

    /// The text of a conversation, and which of its bytes the template marks as the model's by `{% generation %}`: none
    /// where it marks nothing, or where a mark's place cannot be told.
    ///
    /// - Throws: ``TemplateError``.
    package func rendering(
        messages: JSON, tools: JSON? = nil, variables: JSONObject = JSONObject()
    ) throws(TemplateError) -> (text: String, generations: [Range<Int>]) {
        var all = variables
        all["messages"] = messages
        all["tools"] = tools ?? .null
        all["documents"] = .null
        all["add_generation_prompt"] = false
        let names = TemplateValue(.object(all))
        guard names.depth <= TemplateValue.maximumDepth, case .dictionary(let names) = names else {
            throw TemplateError(.limit, "values nested more than \(TemplateValue.maximumDepth) deep")
        }
        let renderer = TemplateRenderer(program.blocks, limits: Limits(), now: CFormat.time)
        let text = try renderer.render(program.nodes, names)
        return (text, renderer.generations ?? [])
    }

    /// The text for exactly these names.
    ///
    /// - Parameter now: What `strftime_now` gives for a format; by default the local time.
    public func render(
        _ variables: JSONObject, limits: Limits = Limits(), now: ((_ format: String) -> String)? = nil
    ) throws(TemplateError) -> String {
        let names = TemplateValue(.object(variables))
        guard names.depth <= TemplateValue.maximumDepth, case .dictionary(let names) = names else {
            throw TemplateError(.limit, "values nested more than \(TemplateValue.maximumDepth) deep")
        }
        let renderer = TemplateRenderer(program.blocks, limits: limits, now: now ?? CFormat.time)
        return try renderer.render(program.nodes, names)
    }
}

extension TemplateValue {
    /// A value of the conversation. What JSON can hold is no deeper than ``JSON/maximumDepth``.
    init(_ json: JSON) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .float(value)
        case .string(let text): self = .string(text)
        case .array(let elements): self.init(elements.map(TemplateValue.init))
        case .object(let object):
            var dictionary = TemplateDictionary()
            for (key, value) in object.members { dictionary.set(key, TemplateValue(value)) }
            self = .dictionary(dictionary)
        }
    }
}
