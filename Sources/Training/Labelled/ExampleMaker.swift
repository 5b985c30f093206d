import MartletJSON
import MartletTasks
package import MartletTokenizers

/// A maker that turns the records of a labelled objective into examples, and collects what is wrong with them.
package struct ExampleMaker: Sendable {
    private let objective: LabelledObjective
    let tokenizer: Tokenizer
    /// The longest sequence, special tokens included.
    let length: Int
    private let chat: ConversationFormat?
    /// True where the model tells the texts of a pair apart.
    private let hasSegments: Bool
    private let names: LabelNames
    /// The number of words of tagged texts that no token begins in.
    package private(set) var lostWords = 0
    /// The number of conversations that were left out because nothing of an answer fits the length.
    package internal(set) var tooLong = 0
    /// The number of answers that the template writes otherwise once something follows them; they are not predicted.
    package internal(set) var hiddenTurns = 0
    /// The number of preferences that were left out because both answers are the same.
    package internal(set) var equalAnswers = 0
    private var preferences = 0

    package init(
        _ objective: LabelledObjective, _ tokenizer: Tokenizer, length: Int, hasSegments: Bool, names: LabelNames,
        chat: ConversationFormat? = nil
    ) {
        self.chat = chat
        (self.objective, self.tokenizer, self.length) = (objective, tokenizer, length)
        (self.hasSegments, self.names) = (hasSegments, names)
    }

    /// The names that label a record: of classes, of tags; none where labels are no names.
    package static func labels(of record: LabelledRecord, _ objective: LabelledObjective) -> [String] {
        switch objective.kind {
        case .classification, .nextSentence: [record.text(objective.label)].compactMap { $0 }
        case .multiLabel: severalLabels(record, objective) ?? []
        case .tagging: record.texts(objective.label) ?? []
        case .regression, .answering, .embeddings, .instructions, .preferences: []
        }
    }

    private static func severalLabels(_ record: LabelledRecord, _ objective: LabelledObjective) -> [String]? {
        if let list = record.texts(objective.label) { return list }
        guard let text = record.text(objective.label) else { return nil }
        return text.utf8.split(separator: objective.separator.utf8.first ?? 44).map { part in
            String(decoding: part.drop { $0 == 32 }.reversed().drop { $0 == 32 }.reversed(), as: UTF8.self)
        }
    }

    /// The examples of a record: one, or as many as it has windows; none where it is wrong.
    package mutating func examples(_ record: LabelledRecord, _ offences: inout DataOffences) -> [Example] {
        do {
            switch objective.kind {
            case .tagging: return try tagged(record, &offences)
            case .answering: return try answers(record, &offences)
            case .embeddings: return try compared(record, &offences).map { [$0] } ?? []
            case .instructions:
                guard let chat else { return [] }
                return try conversation(record, chat, &offences).map { [$0] } ?? []
            case .preferences:
                guard let chat else { return [] }
                preferences += 1
                return try preference(record, number: preferences, chat, &offences).map { [$0] } ?? []
            case .classification, .multiLabel, .regression, .nextSentence:
                return try labelled(record, &offences).map { [$0] } ?? []
            }
        } catch {
            offences.add(record, "\(error)")
            return []
        }
    }

    // MARK: - Texts

    private func text(_ record: LabelledRecord, _ key: String, _ offences: inout DataOffences) -> String? {
        guard let text = record.text(key) else {
            offences.add(record, record.missing(key, "a text"))
            return nil
        }
        guard text.utf8.contains(where: { $0 > 32 }) else {
            offences.add(record, "\(key.quoted) is empty")
            return nil
        }
        return text
    }

    private func encoding(_ text: String, pair: String? = nil) throws -> Encoding {
        try tokenizer.encoding(of: text, pair: pair, truncation: Truncation(maximumLength: length))
    }

    private func segments(_ encoding: Encoding) -> [Int32]? { hasSegments ? encoding.typeIDs : nil }

    // MARK: - Labels of whole texts

    private func labelled(_ record: LabelledRecord, _ offences: inout DataOffences) throws -> Example? {
        let text = text(record, objective.text, &offences)
        let pair = objective.pair.map { self.text(record, $0, &offences) }
        let label = label(record, &offences)
        guard let text, let label, pair == nil || pair != .some(nil) else { return nil }
        let encoding = try encoding(text, pair: pair ?? nil)
        return Example(tokens: encoding.ids, segments: segments(encoding), label: label)
    }

    private func label(_ record: LabelledRecord, _ offences: inout DataOffences) -> Label? {
        switch objective.kind {
        case .regression: return score(record, &offences).map { .numbers([$0]) }
        case .multiLabel:
            guard let labels = ExampleMaker.severalLabels(record, objective) else {
                offences.add(record, record.missing(objective.label, "a list of labels"))
                return nil
            }
            var numbers = [Float](repeating: 0, count: names.count)
            for label in labels {
                guard let number = names.number(label) else {
                    offences.add(record, names.unknown(label))
                    return nil
                }
                numbers[Int(number)] = 1
            }
            return .numbers(numbers)
        default:
            guard let label = record.text(objective.label) else {
                offences.add(record, record.missing(objective.label, "a label"))
                return nil
            }
            guard let number = names.number(label) else {
                offences.add(record, names.unknown(label))
                return nil
            }
            return .category(number)
        }
    }

    private func score(_ record: LabelledRecord, _ offences: inout DataOffences) -> Float? {
        guard let number = record.number(objective.label), number.isFinite else {
            offences.add(record, record.missing(objective.label, "a number"))
            return nil
        }
        guard let range = objective.range else { return Float(number) }
        guard range.contains(number) else {
            offences.add(
                record, "\(objective.label.quoted) is \(number), not from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return Float((number - range.lowerBound) / (range.upperBound - range.lowerBound))
    }

    private func compared(_ record: LabelledRecord, _ offences: inout DataOffences) throws -> Example? {
        let keys = [objective.text, objective.pair, objective.negative].compactMap { $0 }
        let texts = keys.map { text(record, $0, &offences) }
        var label = Label.match
        if objective.similarity == .cosine {
            guard let score = score(record, &offences) else { return nil }
            label = .numbers([score])
        }
        guard !texts.contains(nil) else { return nil }
        let tokens = try texts.map { try encoding($0 ?? "").ids }
        return Example(tokens: tokens[0], others: Array(tokens.dropFirst()), label: label)
    }

    // MARK: - Tags

    private mutating func tagged(_ record: LabelledRecord, _ offences: inout DataOffences) throws -> [Example] {
        guard let words = record.texts(objective.text), let tags = record.texts(objective.label) else {
            let key = record.texts(objective.text) == nil ? objective.text : objective.label
            offences.add(record, record.missing(key, "a list of texts"))
            return []
        }
        guard words.count == tags.count, !words.isEmpty else {
            offences.add(record, "\(words.count) words, but \(tags.count) tags")
            return []
        }
        var numbers: [Int32] = []
        for (index, tag) in tags.enumerated() {
            guard let number = names.number(tag) else {
                offences.add(record, names.unknown(tag), line: record.line + index)
                return []
            }
            numbers.append(number)
        }
        let joined = words.joined(separator: " ")
        let (whole, text) = (try encoding(joined), Array(joined.utf8))
        let starts = ExampleMaker.starts(words)
        var seen: Set<Int> = []
        let examples = ([whole] + whole.overflow).map { part -> Example in
            let targets = part.ids.indices.map { row -> Int32 in
                let start = Tagger.start(of: part.offsets[row], behindSpaces: text)
                guard !part.isSpecial[row], let word = ExampleMaker.word(at: start, starts) else {
                    return Example.ignored
                }
                if seen.insert(word).inserted { return numbers[word] }
                return objective.tagsContinuations ? inside(tags[word]) : Example.ignored
            }
            return Example(tokens: part.ids, segments: segments(part), targets: targets)
        }
        lostWords += words.count - seen.count
        return examples
    }

    /// The tag of a word's later tokens: `I-` where its first has `B-`.
    private func inside(_ tag: String) -> Int32 {
        guard tag.hasPrefix("B-") else { return names.number(tag) ?? Example.ignored }
        return names.number("I-" + tag.dropFirst(2)) ?? names.number(tag) ?? Example.ignored
    }

    /// The start of each word when they are joined by single spaces, in bytes, and behind them the end.
    private static func starts(_ words: [String]) -> [Int] {
        words.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.utf8.count + 1) }
    }

    /// The word in which byte `offset` lies.
    private static func word(at offset: Int, _ starts: [Int]) -> Int? {
        var (low, high) = (0, starts.count - 1)
        while low < high {
            let middle = (low + high + 1) / 2
            if starts[middle] <= offset { low = middle } else { high = middle - 1 }
        }
        return low < starts.count - 1 ? low : nil
    }

    // MARK: - Answers

    private func answers(_ record: LabelledRecord, _ offences: inout DataOffences) throws -> [Example] {
        guard let question = text(record, objective.text, &offences),
            let context = text(record, objective.pair ?? "context", &offences),
            let answer = answer(record, context, &offences)
        else { return [] }
        let first = try tokenizer.encoding(
            of: question, pair: context,
            truncation: Truncation(maximumLength: length, strategy: .onlySecond, stride: objective.stride))
        return ([first] + first.overflow).compactMap { window -> Example? in
            guard case .bytes(let bytes) = answer else {
                return Example(tokens: window.ids, segments: segments(window), label: .span(0...0))
            }
            let span = ExampleMaker.rows(of: bytes, in: window)
            if span == nil && !objective.keepsWindowsWithoutAnswer { return nil }
            return Example(tokens: window.ids, segments: segments(window), label: .span(span ?? 0...0))
        }
    }

    /// The place of an answer in its context.
    private enum Answer { case absent, bytes(Range<Int>) }

    /// The first answer; nil where the record is wrong.
    private func answer(_ record: LabelledRecord, _ context: String, _ offences: inout DataOffences) -> Answer? {
        let field = record.fields[objective.label]
        let text = field?[0]?["text"]?.stringValue ?? field?["text"]?[0]?.stringValue
        let start = field?[0]?["answer_start"]?.integerValue ?? field?["answer_start"]?[0]?.integerValue
        let isEmpty = field?.arrayValue?.isEmpty ?? field?["text"]?.arrayValue?.isEmpty ?? false
        if isEmpty { return .absent }
        guard let text, let start else {
            offences.add(record, record.missing(objective.label, "answers, each with \"text\" and \"answer_start\""))
            return nil
        }
        let scalars = context.unicodeScalars
        guard start >= 0, let place = scalars.index(scalars.startIndex, offsetBy: start, limitedBy: scalars.endIndex)
        else {
            offences.add(record, "the answer begins at \(start), beyond its context")
            return nil
        }
        let first = context.utf8.distance(from: context.utf8.startIndex, to: place)
        guard context.utf8.dropFirst(first).starts(with: text.utf8), !text.isEmpty else {
            offences.add(record, "the answer \(text.quoted) is not at \(start) of its context")
            return nil
        }
        return .bytes(first..<first + text.utf8.count)
    }

    /// The rows whose tokens cover `bytes` of the second text; nil where the window does not hold all of it.
    private static func rows(of bytes: Range<Int>, in window: Encoding) -> ClosedRange<Int>? {
        let rows = window.ids.indices.filter { window.sequences[$0] == 1 }
        guard let first = rows.first(where: { window.offsets[$0].end > bytes.lowerBound }),
            let last = rows.last(where: { window.offsets[$0].start < bytes.upperBound }), first <= last,
            window.offsets[first].start <= bytes.lowerBound, window.offsets[last].end >= bytes.upperBound
        else { return nil }
        return first...last
    }
}
