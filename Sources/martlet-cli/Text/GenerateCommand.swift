import ArgumentParser
import Martlet
import MartletGeneration
import MartletJSON

/// `martlet generate`: continue a text.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a text.",
        discussion: "Example: martlet generate -m path/to/model --max-tokens 100 \"Once upon a time\"")

    @OptionGroup var model: ModelOptions

    @Argument(help: "The text to continue; - reads standard input.")
    var prompt: String?

    @Option(help: "Read the prompt from this file; - is standard input.")
    var promptFile: String?

    @OptionGroup var sampling: SamplingOptions

    @Option(help: "Search with this many beams for the most probable text; 1 does not search.")
    var beams = 1

    @Flag(help: "One JSON document with the text, its tokens, usage and timings.")
    var json = false

    func validate() throws {
        if !(1...1_000).contains(beams) { throw ValidationError("--beams is \(beams), but lies between 1 and 1000.") }
        if beams > 1
            && (sampling.temperature != 0 || !sampling.stop.isEmpty || sampling.repeatPenalty != 1
                || sampling.cache != .f32)
        {
            throw ValidationError(
                "--beams searches for the most probable text: leave out --temperature, --stop, --repeat-penalty and --cache."
            )
        }
        if prompt != nil && promptFile != nil { throw ValidationError("Give the prompt or --prompt-file, not both.") }
    }

    func run() async throws {
        let path = try model.path()
        let text = try promptText()
        let loaded = try await LanguageModel.load(path: path, threads: model.threads)
        if beams > 1 { return try await search(loaded, text) }
        var result = ""
        var tokens: [Int32] = []
        var summary: GenerationSummary?
        for try await piece in try loaded.generate(text, sampling.options) {
            if json { result += piece.text } else { Output.write(piece.text) }
            tokens += piece.tokens
            summary = piece.summary ?? summary
        }
        if json, let summary {
            Output.document(document(result, tokens, summary))
        } else {
            Output.write("\n")
        }
    }

    private func search(_ model: LanguageModel, _ prompt: String) async throws {
        let found = try await model.search(prompt, .init(beams: beams, maximumTokens: sampling.maxTokens))
        guard let best = found.first else { return }
        guard json else { return Output.write(best.text + "\n") }
        let prompted = try model.tokens(of: prompt).count
        Output.document([
            "text": .string(best.text),
            "tokens": .array(best.tokens.map { .integer(Int($0)) }),
            "score": .number(Double("\(best.score)") ?? 0),
            "finish_reason": .string(best.finish.rawValue),
            "usage": [
                "prompt_tokens": .integer(prompted), "completion_tokens": .integer(best.tokens.count),
                "total_tokens": .integer(prompted + best.tokens.count),
            ],
        ])
    }

    private func promptText() throws -> String {
        if let promptFile { return try Input.text(promptFile) }
        return prompt == "-" ? try Input.text("-") : prompt ?? ""
    }

    private func document(_ text: String, _ tokens: [Int32], _ summary: GenerationSummary) -> JSON {
        func rate(_ count: Int, _ seconds: Double) -> JSON { seconds > 0 ? .number(Double(count) / seconds) : .null }
        return [
            "text": .string(text),
            "tokens": .array(tokens.map { .integer(Int($0)) }),
            "finish_reason": .string(summary.finish.rawValue),
            "usage": [
                "prompt_tokens": .integer(summary.promptTokens),
                "completion_tokens": .integer(summary.generatedTokens),
                "total_tokens": .integer(summary.promptTokens + summary.generatedTokens),
            ],
            "timings": [
                "prompt_seconds": .number(summary.promptSeconds),
                "prompt_tokens_per_second": rate(summary.promptTokens, summary.promptSeconds),
                "generation_seconds": .number(summary.generationSeconds),
                "generation_tokens_per_second": rate(max(0, summary.generatedTokens - 1), summary.generationSeconds),
            ],
        ]
    }
}
