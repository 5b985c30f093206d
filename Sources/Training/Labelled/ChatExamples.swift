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
    /// - Throws: ``TemplateError`` for a conversation that the template refuses.
    package func assistantBytes(
        of messages: [JSON], tools: JSON? = nil
    ) throws(TemplateError) -> (text: String, ranges: [Range<Int>]) {
        func render(_ count: Int, answering: Bool) throws(TemplateError) -> [UInt8] {
            Array(
                try template.render(
                    messages: .array(Array(messages.prefix(count))), tools: tools, addGenerationPrompt: answering,
                    variables: variables
                ).utf8)
        }
        let (text, marked) = try template.rendering(messages: .array(messages), tools: tools, variables: variables)
        guard marked.isEmpty else { return (text, marked) }
        let whole = Array(text.utf8)
        var ranges: [Range<Int>] = []
        for (index, message) in messages.enumerated() where message["role"]?.stringValue == "assistant" {
            guard index > 0, let before = try? render(index, answering: true),
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
                let from = turn["from"]?.stringValue ?? ""
                return message(roles[from] ?? from, turn["value"]?.stringValue ?? "")
            }
        }
        guard let prompt = prompt(record), let answer = record.text("completion") ?? record.text("output") else {
            return nil
        }
        return prompt + [message("assistant", answer)]
    }

    /// The prompt of a record: `prompt` as a text or as messages, or alpaca's instruction.
    static func prompt(_ record: LabelledRecord) -> [JSON]? {
        if let messages = record.fields["prompt"]?.arrayValue { return messages }
        if let prompt = record.text("prompt") { return [message("user", prompt)] }
        guard let instruction = record.text("instruction") else { return nil }
        let input = record.text("input") ?? ""
        return [message("user", input.utf8.isEmpty ? instruction : "\(instruction)\n\n\(input)")]
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
        return try predicting(messages, tools: record.fields["tools"], record, chat, &offences)
    }

    /// A prompt with the answer that is preferred, and the same with the one that is not.
    mutating func preference(
        _ record: LabelledRecord, number: Int, _ chat: ConversationFormat, _ offences: inout DataOffences
    ) throws -> Example? {
        guard let prompt = ChatRecord.prompt(record), let chosen = ChatRecord.answer(record, "chosen"),
            let rejected = ChatRecord.answer(record, "rejected")
        else {
            offences.add(record, "a prompt and two answers are wanted, \"chosen\" and \"rejected\"")
            return nil
        }
        guard let better = try predicting(prompt + chosen, tools: nil, record, chat, &offences),
            let worse = try predicting(prompt + rejected, tools: nil, record, chat, &offences)
        else { return nil }
        // Nothing is learnt where nothing is preferred.
        guard better.tokens != worse.tokens else {
            equalAnswers += 1
            return nil
        }
        return Example(preferred: better, over: worse, number: number)
    }

    private mutating func predicting(
        _ messages: [JSON], tools: JSON?, _ record: LabelledRecord, _ chat: ConversationFormat,
        _ offences: inout DataOffences
    ) throws -> Example? {
        let (text, ranges) = try chat.assistantBytes(of: messages, tools: tools)
        hiddenTurns += messages.count(where: { $0["role"]?.stringValue == "assistant" }) - ranges.count
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
