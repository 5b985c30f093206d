import ArgumentParser
import Martlet
import MartletJSON
import MartletTasks

/// `martlet embed`: one vector per line.
struct EmbedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed", abstract: "Turn each line into an embedding vector.",
        discussion: """
            Example: martlet embed sentences.txt --json
                     martlet embed -m path/to/all-MiniLM-L6-v2 --similarity < sentences.txt

            Without -m, the small sentence encoder that ships with Martlet is used: English, 384 elements.
            """)

    @OptionGroup var input: TaskInput

    @Flag(help: "Scale every vector to length 1 (default: from the model's files).")
    var normalize = false

    @Option(help: "How the hidden states of a text become one vector (default: from the model's files).")
    var pooling: Pooling?

    enum Pooling: String, ExpressibleByArgument, CaseIterable { case mean, cls, last, max }

    @Option(help: "Put the prompt of this name in the model's files before every line.")
    var promptName: String?

    @Option(help: "Put this prompt before every line; \"\" for none (default: from the model's files).")
    var prompt: String?

    @Flag(help: "Write the similarity of each line to the first one, by the model's own measure, instead of vectors.")
    var similarity = false

    func validate() throws {
        if prompt != nil && promptName != nil { throw ValidationError("Give --prompt or --prompt-name, not both.") }
    }

    func run() async throws {
        if similarity { try input.ranks.refuse("--similarity, which compares with the first line,") }
        let (file, tokenizer, device) = try input.load(orShipped: .sentences)
        var embedder = try Embedder(file, tokenizer, on: device)
        try set(&embedder)
        let prompt = prompt.map { Embedder.Prompt.text($0) } ?? promptName.map { .named($0) } ?? .standard
        if similarity { return try writeSimilarities(embedder, prompt) }
        try writeVectors(embedder, prompt)
        input.noteCuts(embedder.cutTexts, limit: embedder.limit)
    }

    private func set(_ embedder: inout Embedder) throws {
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
    }

    private func writeSimilarities(_ embedder: Embedder, _ prompt: Embedder.Prompt) throws {
        var first: [Float]?
        try input.eachLine(batch: 64, blank: .init(json: ["text": "", "similarity": nil], words: "")) { lines in
            try zip(lines, embedder.embed(lines, prompt: prompt)).map { line, vector in
                let score = embedder.similarity(first ?? vector, vector)
                first = first ?? vector
                return .init(json: ["text": .string(line), "similarity": .score(score)], words: "\(score)\t\(line)")
            }
        }
    }

    private func writeVectors(_ embedder: Embedder, _ prompt: Embedder.Prompt) throws {
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
                try embedder.embed(lines, prompt: prompt).map { vector in
                    .init(
                        json: .array(vector.map { .score($0) }),
                        words: input.json || input.jsonLines ? "" : vector.map { "\($0)" }.joined(separator: " "))
                }
            },
            end: { if input.json, !input.jsonLines { Output.write(isFirst ? "[]\n" : "]\n") } })
    }
}
