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
        let lines = try input.lines()
        let (file, tokenizer, device) = try input.load()
        var embedder = try Embedder(file, tokenizer, on: device)
        if normalize { embedder.modules.normalization = .unit }
        switch pooling {
        case nil: break
        case .mean: embedder.modules.pooling = .mean
        case .cls: embedder.modules.pooling = .cls
        case .last: embedder.modules.pooling = .last
        }
        let vectors = try embedder.embed(lines)
        guard input.json else {
            for vector in vectors { Output.write(vector.map { "\($0)" }.joined(separator: " ") + "\n") }
            return
        }
        Output.write(JSON.array(vectors.map { .array($0.map { .score($0) }) }).text(.compact) + "\n")
    }
}
