import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet tag`: named spans of each line.
struct TagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Find named entities in each line, with their positions in characters.",
        discussion: "Example: echo \"Ada lived in London\" | martlet tag -m path/to/model --json")

    @OptionGroup var input: TaskInput

    @Option(
        help: """
            none: every token by itself; simple: neighbours of one kind together; first, average, max: words as a whole, by their first \
            token, the mean of their tokens, or the surest.
            """)
    var aggregation = Aggregation.first

    enum Aggregation: String, ExpressibleByArgument, CaseIterable { case none, simple, first, average, max }

    func run() async throws {
        try input.requireModel("tag", "tags", example: "path/to/bert-base-NER articles.txt")
        let (file, tokenizer, device) = try input.load()
        let tagger = try Tagger(file, tokenizer, on: device)
        let aggregation = Tagger.Aggregation(rawValue: aggregation.rawValue) ?? .first
        try input.eachLine(
            blank: .init(json: ["spans": []], words: ""),
            { result, number in
                guard let result else { return }
                if input.json || input.jsonLines { return input.write(result.json, "") }
                // A line of words has many spans, or none: each is told with the line's number.
                for span in result.words.split(separator: "\n") { Output.write("\(number)\t\(span)\n") }
            },
            { lines in
                try tagger.tag(lines, aggregation).map { spans in
                    let objects = spans.map { span -> JSON in
                        [
                            "label": .string(span.label), "text": .string(span.text), "start": .integer(span.start),
                            "end": .integer(span.end), "score": .score(span.score),
                        ]
                    }
                    let words = spans.map { "\($0.label)\t\($0.start)\t\($0.end)\t\($0.text)" }
                    return .init(json: ["spans": .array(objects)], words: words.joined(separator: "\n"))
                }
            })
    }
}
