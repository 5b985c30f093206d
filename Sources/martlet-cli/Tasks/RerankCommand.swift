import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet rerank`: lines in the order in which they answer a query.
struct RerankCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rerank", abstract: "Order lines by how well they answer a query.",
        discussion:
            "Example: martlet rerank -m path/to/ms-marco-MiniLM-L6-v2 --query \"What is a martlet?\" passages.txt")

    @OptionGroup var input: TaskInput

    @Option(help: "What the lines are to answer.")
    var query: String

    @Option(help: "Only the best so many.")
    var top: Int?

    func validate() throws {
        if let top, top < 1 { throw ValidationError("--top is \(top), but must be at least 1.") }
    }

    func run() async throws {
        try input.ranks.refuse("rerank, which orders all lines,")
        let lines = InputLines.split(try Input.bytes(input.file)).map { String(decoding: $0, as: UTF8.self) }
        guard !lines.isEmpty else { throw UsageError("there is no line to work on") }
        let (file, tokenizer, device) = try input.load()
        let ranked = try Reranker(file, tokenizer, on: device).rank(lines, for: query)
        for result in ranked.prefix(top ?? ranked.count) {
            let line = lines[result.index]
            input.write(
                ["index": .integer(result.index), "score": .score(result.score), "text": .string(line)],
                "\(result.score)\t\(line)")
        }
    }
}
