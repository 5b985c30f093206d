package import MartletJSON
package import MartletTemplates
import MartletTokenizers

/// The format in which a model reads conversations: its chat template, and the names that this may use (`bos_token`).
package struct ConversationFormat: Sendable {
    package let template: ChatTemplate
    package let variables: JSONObject

    package init(_ template: ChatTemplate, _ variables: JSONObject) {
        (self.template, self.variables) = (template, variables)
    }

    /// The bytes of a conversation's text that the assistant wrote: those that the template marks by `{% generation
    /// %}`; else what a turn adds to the text that ends with the beginning of an answer.
    ///
    /// A turn that a longer conversation renders otherwise (templates that drop earlier reasoning) has none.
    /// - Parameter prompt: the messages at the beginning whose answers are context.
    /// - Throws: ``TemplateError`` for a conversation that the template refuses.
    package func assistantBytes(
        of messages: [JSON], tools: JSON? = nil, behind prompt: Int = 0
    ) throws(TemplateError) -> (text: String, ranges: [Range<Int>]) {
        func render(_ count: Int, answering: Bool) throws(TemplateError) -> [UInt8] {
            Array(
                try template.render(
                    messages: .array(Array(messages.prefix(count))), tools: tools, addGenerationPrompt: answering,
                    variables: variables
                ).utf8)
        }
        let (text, marked) = try template.rendering(messages: .array(messages), tools: tools, variables: variables)
        guard marked.isEmpty else {
            func answers(_ messages: [JSON]) -> Int {
                messages.count(where: { $0["role"]?.stringValue == "assistant" })
            }
            // Which answers are context can be told where each has a mark.
            let context = answers(messages) == marked.count ? answers(Array(messages.prefix(prompt))) : 0
            return (text, Array(marked.dropFirst(context)))
        }
        let whole = Array(text.utf8)
        var ranges: [Range<Int>] = []
        for (index, message) in messages.enumerated() where message["role"]?.stringValue == "assistant" {
            guard index > 0, index >= prompt, let before = try? render(index, answering: true),
                let after = try? render(index + 1, answering: false)
            else { continue }
            let range = ConversationFormat.turn(before, after, whole, content: message["content"]?.stringValue ?? "")
            if let range, range.lowerBound >= ranges.last?.upperBound ?? 0 { ranges.append(range) }
        }
        return (text, ranges)
    }

    /// The bytes of a turn in the whole text.
    ///
    /// - Parameters:
    ///   - before: the text up to the turn, with the beginning of an answer.
    ///   - after: the text with the turn. Where it leaves that beginning (an empty thought that history does not keep),
    ///     the turn begins with its content.
    private static func turn(_ before: [UInt8], _ after: [UInt8], _ whole: [UInt8], content: String) -> Range<Int>? {
        var start = shared(before, after)
        let end = shared(after, whole)
        let content = trimmed(Array(content.utf8))
        let place = content.isEmpty ? nil : after[start...].firstRange(of: content)
        if start < before.count, let place { start = place.lowerBound }
        // What is behind the content may change with what follows, the content may not.
        guard start < end, end == after.count || place.map({ $0.upperBound <= end }) ?? false else { return nil }
        return start..<end
    }

    /// The number of bytes that both begin with.
    private static func shared(_ a: [UInt8], _ b: [UInt8]) -> Int { zip(a, b).prefix { $0 == $1 }.count }

    /// The text without white space at both ends, which templates strip.
    private static func trimmed(_ text: [UInt8]) -> [UInt8] {
        Array(text.drop { $0 <= 32 }.reversed().drop { $0 <= 32 }.reversed())
    }
}

/// Conversations of every usual form as messages with roles.
enum ChatRecord {
    /// OpenAI's `messages`, sharegpt's `conversations`, `prompt` and `completion`, alpaca's `instruction`, `input` and
    /// `output`; nil for anything else.
    static func messages(_ record: LabelledRecord) -> [JSON]? {
        if let messages = record.fields["messages"]?.arrayValue { return messages }
        if let turns = record.fields["conversations"]?.arrayValue {
            let roles = ["human": "user", "gpt": "assistant", "system": "system", "tool": "tool", "user": "user"]
            return turns.map { turn in
                // Some keep messages under this name.
                guard turn["role"] == nil else { return turn }
                let from = turn["from"]?.stringValue ?? ""
                return message(roles[from] ?? from, turn["value"]?.stringValue ?? "")
            }
        }
        guard let prompt = prompt(record) else { return nil }
        return (answer(record, "completion") ?? answer(record, "output")).map { prompt + $0 }
    }

    /// The prompt of a record: `prompt` as a text or as messages, or alpaca's instruction.
    static func prompt(_ record: LabelledRecord) -> [JSON]? {
        if let messages = record.fields["prompt"]?.arrayValue { return messages }
        if let prompt = record.text("prompt") { return [message("user", prompt)] }
        guard let instruction = record.text("instruction") else { return nil }
        let input = record.text("input") ?? ""
        return [message("user", input.utf8.isEmpty ? instruction : "\(instruction)\n\n\(input)")]
    }

    /// The turns in front of an answer that a record has apart from it, whose own answers are context; 0 where all are
    /// of one conversation.
    static func turnsOfPrompt(_ record: LabelledRecord) -> Int {
        let isWhole = record.fields["messages"]?.arrayValue != nil || record.fields["conversations"]?.arrayValue != nil
        return isWhole ? 0 : prompt(record)?.count ?? 0
    }

    /// The prompt of a preference and both answers. Answers that are conversations begin with the prompt, whatever else
    /// tells it: it is the messages that both begin with.
    static func preference(_ record: LabelledRecord) -> (prompt: [JSON], chosen: [JSON], rejected: [JSON])? {
        guard let chosen = answer(record, "chosen"), let rejected = answer(record, "rejected") else { return nil }
        func answers(_ messages: [JSON]) -> Bool { messages.first?["role"]?.stringValue == "assistant" }
        if !answers(chosen), !answers(rejected) {
            let count = zip(chosen, rejected).prefix { $0 == $1 }.count
            return (Array(chosen.prefix(count)), Array(chosen.dropFirst(count)), Array(rejected.dropFirst(count)))
        }
        return prompt(record).map { ($0, chosen, rejected) }
    }

    /// The tools of a conversation, a list or a text that spells one: columns of one type hold no objects of many.
    static func tools(_ record: LabelledRecord) -> JSON? {
        guard let text = record.fields["tools"]?.stringValue else { return record.fields["tools"] }
        return try? JSON(parsing: Array(text.utf8))
    }

    /// The messages of one of two answers of a preference: a text, or messages.
    static func answer(_ record: LabelledRecord, _ key: String) -> [JSON]? {
        record.fields[key]?.arrayValue ?? record.text(key).map { [message("assistant", $0)] }
    }

    static func message(_ role: String, _ text: String) -> JSON { ["role": .string(role), "content": .string(text)] }
}

extension ExampleMaker {
    /// A conversation whose assistant's tokens are to be predicted, from what stands before them.
    mutating func conversation(
        _ record: LabelledRecord, _ chat: ConversationFormat, _ offences: inout DataOffences
    ) throws -> Example? {
        guard let messages = ChatRecord.messages(record) else {
            offences.add(record, "neither messages, nor conversations, nor a prompt with a completion")
            return nil
        }
        return try predicting(messages, behind: ChatRecord.turnsOfPrompt(record), record, chat, &offences)
    }

    /// A prompt with the answer that is preferred, and the same with the one that is not.
    mutating func preference(
        _ record: LabelledRecord, number: Int, _ chat: ConversationFormat, _ offences: inout DataOffences
    ) throws -> Example? {
        guard let (prompt, chosen, rejected) = ChatRecord.preference(record) else {
            offences.add(record, "a prompt and two answers are wanted, \"chosen\" and \"rejected\"")
            return nil
        }
        // Nothing is learnt where nothing is preferred.
        guard chosen != rejected else {
            equalAnswers += 1
            return nil
        }
        guard let better = try predicting(prompt + chosen, behind: prompt.count, record, chat, &offences),
            let worse = try predicting(prompt + rejected, behind: prompt.count, record, chat, &offences)
        else { return nil }
        guard better.tokens != worse.tokens else {
            equalAnswers += 1
            return nil
        }
        return Example(preferred: better, over: worse, number: number)
    }

    /// - Parameter prompt: the messages whose answers are context.
    private mutating func predicting(
        _ messages: [JSON], behind prompt: Int, _ record: LabelledRecord, _ chat: ConversationFormat,
        _ offences: inout DataOffences
    ) throws -> Example? {
        let (text, ranges) = try chat.assistantBytes(of: messages, tools: ChatRecord.tools(record), behind: prompt)
        let answers = messages.dropFirst(prompt).count(where: { $0["role"]?.stringValue == "assistant" })
        hiddenTurns += max(0, answers - ranges.count)
        let encoding = try tokenizer.encoding(of: text, addSpecialTokens: false)
        var isTrained = encoding.ids.indices.map { row in
            let (start, end) = (encoding.offsets[row].start, encoding.offsets[row].end)
            return ranges.contains { $0.lowerBound <= start && end <= $0.upperBound && start < end }
        }
        // What the template writes behind the end of a turn is not the assistant's.
        for range in ranges {
            let rows = encoding.ids.indices.filter {
                isTrained[$0] && encoding.offsets[$0].start >= range.lowerBound
                    && encoding.offsets[$0].end <= range.upperBound
            }
            guard let last = rows.last(where: { tokenizer.isSpecial(encoding.ids[$0]) }) else { continue }
            for row in rows where row > last { isTrained[row] = false }
        }
        let count = min(encoding.count, length)
        let targets = (0..<count).map { $0 + 1 < count && isTrained[$0 + 1] ? encoding.ids[$0 + 1] : Example.ignored }
        guard targets.contains(where: { $0 >= 0 }) else {
            if encoding.count > length && isTrained.contains(true) {
                tooLong += 1
            } else {
                offences.add(
                    record,
                    "no token of an answer is to be predicted: there is no assistant's turn, or the template hides it")
            }
            return nil
        }
        return Example(tokens: Array(encoding.ids.prefix(count)), targets: targets)
    }
}
