import ArgumentParser
import Martlet
import MartletJSON
import MartletTasks

/// `martlet embed`: one vector per line.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "Turn each line into a vector.",
        discussion: """
            Example: martlet embed sentences.txt --json
                     martlet embed -m path/to/all-MiniLM-L6-v2 --similarity < sentences.txt

            Without -m, the small sentence encoder that ships with Martlet: English, 384 elements.
            """)

    @OptionGroup var input: TaskInput

    @Flag(help: "Scale every vector to length 1 (default: what the model's files say).")
    var normalize = false

    @Option(help: "How a text's rows become one vector: mean, cls, last, max (default: what the model's files say).")
    var pooling: Pooling?

    enum Pooling: String, ExpressibleByArgument, CaseIterable { case mean, cls, last, max }

    @Option(help: "Put the prompt before every line that the model's files have under this name.")
    var promptName: String?

    @Option(help: "Put this before every line; \"\" for nothing (default: the prompt that the model's files choose).")
    var prompt: String?

    @Flag(help: "Write how near each line is to the first one, by the model's own measure, instead of vectors.")
    var similarity = false

    func validate() throws {
        if prompt != nil && promptName != nil { throw ValidationError("Give --prompt or --prompt-name, not both.") }
    }

    func run() async throws {
        if similarity { try input.ranks.refuse("--similarity, which compares with the first line,") }
        let (file, tokenizer, device) = try input.load(orShipped: .sentences)
        var embedder = try Embedder(file, tokenizer, on: device)
        if let promptName, embedder.prompts[promptName] == nil {
            let known = embedder.prompts.keys.sorted().joined(separator: ", ")
            throw UsageError(
                "--prompt-name: the model's files name no prompt \"\(promptName)\""
                    + (known.isEmpty ? "" : "; they name \(known)"))
        }
        if normalize { embedder.modules.steps.append(.normalize) }
        switch pooling {
        case nil: break
        case .mean: embedder.modules.poolings = [.mean]
        case .cls: embedder.modules.poolings = [.cls]
        case .last: embedder.modules.poolings = [.last]
        case .max: embedder.modules.poolings = [.max]
        }
        let chosen = prompt.map { Embedder.Prompt.text($0) } ?? promptName.map { .named($0) } ?? .standard
        if similarity {
            var first: [Float]?
            return try input.eachLine(batch: 64, blank: .init(json: ["text": "", "similarity": nil], words: "")) {
                lines in
                try zip(lines, embedder.embed(lines, prompt: chosen)).map { line, vector in
                    let score = embedder.similarity(first ?? vector, vector)
                    first = first ?? vector
                    return .init(
                        json: ["text": .string(line), "similarity": .score(score)], words: "\(score)\t\(line)")
                }
            }
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
                try embedder.embed(lines, prompt: chosen).map { vector in
                    .init(
                        json: .array(vector.map { .score($0) }),
                        words: input.json || input.jsonLines ? "" : vector.map { "\($0)" }.joined(separator: " "))
                }
            },
            end: { if input.json, !input.jsonLines { Output.write(isFirst ? "[]\n" : "]\n") } })
        input.noteCuts(embedder.cutTexts, limit: embedder.limit)
    }
}
