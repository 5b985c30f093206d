/// The transcript of a conversation: everything that was said in it, in order.
public struct Transcript: Sendable, Hashable, Codable, RandomAccessCollection {
    /// An entry, one turn of a conversation.
    public enum Entry: Sendable, Hashable, Codable {
        /// The system instructions, which the model is told before the conversation begins.
        case instructions(String)
        /// A message of the user.
        case prompt(String)
        /// The tools that the model wants called.
        case toolCalls([ToolCall])
        /// The output of one of the tools.
        case toolOutput(ToolOutput)
        /// The model's answer to a prompt.
        case response(String)
    }

    /// A tool that the model wants called.
    public struct ToolCall: Sendable, Hashable, Codable {
        /// The tool's name.
        public var name: String
        /// The arguments, a JSON object as text.
        public var arguments: String

        /// A call of the tool `name`.
        public init(name: String, arguments: String) { (self.name, self.arguments) = (name, arguments) }
    }

    /// The answer of a tool.
    public struct ToolOutput: Sendable, Hashable, Codable {
        /// The tool's name.
        public var name: String
        /// The text that the model reads.
        public var content: String

        /// An answer of the tool `name`.
        public init(name: String, content: String) { (self.name, self.content) = (name, content) }
    }

    private var entries: [Entry]

    /// A transcript of these entries.
    public init(entries: [Entry] = []) { self.entries = entries }

    /// The index of the first element.
    public var startIndex: Int { 0 }
    /// The index past the last element.
    public var endIndex: Int { entries.count }
    /// The entry at a position.
    public subscript(position: Int) -> Entry { entries[position] }

    mutating func append(contentsOf new: [Entry]) { entries += new }
}
