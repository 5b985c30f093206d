import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet embed`: one vector per line.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "Turn each line into a vector.",
        discussion: "Example: martlet embed -m path/to/all-MiniLM-L6-v2 sentences.txt --json")

    @OptionGroup var input: TaskInput

    @Flag(help: "Scale every vector to length 1 (default: what the model's files say).")
    var normalize = false

    @Option(help: "How a text's rows become one vector: mean, cls, last (default: what the model's files say).")
    var pooling: Pooling?

    enum Pooling: String, ExpressibleByArgument, CaseIterable { case mean, cls, last }

    func run() async throws {
        let (file, tokenizer, device) = try input.load()
        var embedder = try Embedder(file, tokenizer, on: device)
        if normalize { embedder.modules.normalization = .unit }
        switch pooling {
        case nil: break
        case .mean: embedder.modules.pooling = .mean
        case .cls: embedder.modules.pooling = .cls
        case .last: embedder.modules.pooling = .last
        }
        var isFirst = true
        try input.eachLine(
            batch: 64, blank: .init(json: [], words: ""),
            { result, _ in
                guard let result else { return }
                if input.jsonLines { return input.write(["embedding": result.json], "") }
                guard input.json else { return Output.write(result.words + "\n") }
                Output.write((isFirst ? "[" : ",") + result.json.text(.compact))
                isFirst = false
            },
            { lines in
                try embedder.embed(lines).map { vector in
                    .init(
                        json: .array(vector.map { .score($0) }),
                        words: input.json || input.jsonLines ? "" : vector.map { "\($0)" }.joined(separator: " "))
                }
            })
        if input.json, !input.jsonLines { Output.write(isFirst ? "[]\n" : "]\n") }
        input.noteCuts(embedder.cutTexts, limit: embedder.limit)
    }
}
