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

    @Flag(help: "The same as --json.")
    var jsonLines = false

    func run() async throws {
        guard model.model != nil else {
            throw UsageError(
                "chat needs a model that was made for conversations, which the one that ships was not: give one with -m, as in martlet chat -m path/to/SmolLM2-135M-Instruct.gguf"
            )
        }
        let loaded = try await LanguageModel.load(path: model.path(), threads: model.threads)
        _ = try loaded.chat.get()
        let session = loaded.session(instructions: system)
        let isTerminal = isatty(0) == 1
        while true {
            if isTerminal { Output.prompt("> ") }
            guard let line = readLine() else { break }
            if !line.utf8.isEmpty { try await answer(line, session) }
        }
        if isTerminal { Output.note("") }
    }

    /// Writes the answer as it comes.
    private func answer(_ prompt: String, _ session: LanguageModelSession) async throws {
        for try await snapshot in session.streamResponse(to: prompt, options: sampling.options) {
            guard json || jsonLines else {
                Output.write(snapshot.delta)
                continue
            }
            if let summary = snapshot.summary { Output.write(document(snapshot.content, summary).text(.compact)) }
        }
        Output.write("\n")
    }

    private func document(_ text: String, _ summary: GenerationSummary) -> JSON {
        [
            "text": .string(text), "finish_reason": .string(summary.finish.rawValue),
            "usage": [
                "prompt_tokens": .integer(summary.promptTokens), "cached_tokens": .integer(summary.rememberedTokens),
                "completion_tokens": .integer(summary.generatedTokens),
            ],
        ]
    }
}
