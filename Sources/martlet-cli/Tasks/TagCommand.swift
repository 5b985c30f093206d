import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet tag`: named spans of each line.
struct TagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Find named spans in each line, with their places in characters.",
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
        let lines = try input.lines()
        let (file, tokenizer, device) = try input.load()
        let tagger = try Tagger(file, tokenizer, on: device)
        for spans in try tagger.tag(lines, .init(rawValue: aggregation.rawValue) ?? .first) {
            let objects = spans.map { span -> JSON in
                [
                    "label": .string(span.label), "text": .string(span.text), "start": .integer(span.start),
                    "end": .integer(span.end), "score": .score(span.score),
                ]
            }
            let words = spans.map { "\($0.label)\t\($0.start)\t\($0.end)\t\($0.text)" }.joined(separator: "\n")
            input.write(["spans": .array(objects)], words)
        }
    }
}
