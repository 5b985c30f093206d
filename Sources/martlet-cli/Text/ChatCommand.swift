import ArgumentParser
import Martlet
import MartletGeneration
import MartletJSON
import MartletPlatform

/// `martlet chat`: a conversation with the model's own chat template.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with a model, line by line.",
        discussion: """
            Example: martlet chat -m path/to/model --system "Answer in one sentence."

            Every line of standard input is a message; the answers go to standard output. The end of the input (Ctrl-D) ends the conversation.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: "What the model is told before the conversation begins.")
    var system: String?

    @OptionGroup var sampling: SamplingOptions

    @Flag(help: "One JSON object per answer, on a line of its own.")
    var json = false

    func run() async throws {
        let path = try model.path()
        var conversation = try Conversation(path: path, system: system)
        let loaded = try await LanguageModel.load(path: path, threads: model.threads)
        let memory = TextMemory()
        let isTerminal = isatty(0) == 1
        while true {
            if isTerminal { Output.prompt("> ") }
            guard let line = readLine() else { break }
            if line.utf8.isEmpty { continue }
            conversation.add(.user, line)
            let prompt = try conversation.prompt(loaded.tokenizer)
            conversation.add(.assistant, try await answer(prompt, loaded, memory))
        }
        if isTerminal { Output.note("") }
    }

    /// Writes the answer as it comes.
    private func answer(_ prompt: [Int32], _ model: LanguageModel, _ memory: TextMemory) async throws -> String {
        var text = ""
        var summary: GenerationSummary?
        for try await piece in model.generate(tokens: prompt, sampling.options, memory: memory) {
            text += piece.text
            if !json { Output.write(piece.text) }
            summary = piece.summary ?? summary
        }
        guard json, let summary else {
            Output.write("\n")
            return text
        }
        let document: JSON = [
            "text": .string(text), "finish_reason": .string(summary.finish.rawValue),
            "usage": [
                "prompt_tokens": .integer(summary.promptTokens), "cached_tokens": .integer(summary.rememberedTokens),
                "completion_tokens": .integer(summary.generatedTokens),
            ],
        ]
        Output.write(document.text(.compact) + "\n")
        return text
    }
}
