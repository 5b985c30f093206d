import ArgumentParser
import Martlet
import MartletJSON
import MartletTasks

/// `martlet rerank`: lines in the order in which they answer a query.
struct RerankCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rerank", abstract: "Order lines by how well they answer a query.",
        discussion: """
            Example: martlet rerank "What is a martlet?" passages.txt
                     martlet rerank -m path/to/ms-marco-MiniLM-L6-v2 "What is a martlet?" passages.txt

            A cross-encoder reads the query and a line together; a sentence encoder compares their vectors. Without \
            -m, the small sentence encoder that ships with Martlet is used.
            """)

    @Argument(help: "The query; with --query, the file.")
    var question: String?

    @OptionGroup var input: TaskInput

    @Option(help: "The query, in place of the first argument.")
    var query: String?

    @Option(help: "Write only this many lines, the best.")
    var top: Int?

    func validate() throws {
        if question == nil && query == nil { throw ValidationError("Give the query: martlet rerank QUERY lines.txt.") }
        if query != nil && question != nil && input.file != "-" {
            throw ValidationError("Give the query once: first, or with --query.")
        }
        if let top, top < 1 { throw ValidationError("--top is \(top), but must be at least 1.") }
    }

    func run() async throws {
        try input.ranks.refuse("rerank, which orders all lines,")
        // With --query, the first argument is the file.
        let (query, path) = query.map { ($0, question ?? input.file) } ?? (question ?? "", input.file)
        let lines = InputLines.split(try Input.bytes(path)).map { String(decoding: $0, as: UTF8.self) }
        guard !lines.isEmpty else { throw UsageError("there is no line to work on") }
        let (file, tokenizer, device) = try input.load(orShipped: .sentences)
        let ranked = try Reranker(file, tokenizer, on: device).rank(lines, for: query)
        for result in ranked.prefix(top ?? ranked.count) {
            let line = lines[result.index]
            input.write(
                ["index": .integer(result.index), "score": .score(result.score), "text": .string(line)],
                "\(result.score)\t\(line)")
        }
    }
}
