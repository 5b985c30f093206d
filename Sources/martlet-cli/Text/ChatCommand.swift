import ArgumentParser
import Martlet
import MartletAPI
import MartletGeneration
import MartletJSON
import MartletPlatform

/// `martlet chat`: a conversation with the model's own chat template.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with a model.",
        discussion: """
            Example: martlet chat -m path/to/model --system "Answer in one sentence."

            In a terminal, arrow keys edit the line and bring back earlier ones, pasted lines are one message, a line \
            that ends in \\ continues on the next, Ctrl-C stops an answer and Ctrl-D ends the conversation; /help \
            lists the commands. From a file or a pipe, every line is a message, and the answers go to standard output.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var ranks: RankOptions

    @Option(help: "The system message.")
    var system: String?

    @OptionGroup var sampling: SamplingOptions

    @Flag(help: "One JSON object per answer, on a line of its own.")
    var json = false

    @Flag(help: "The same as --json.")
    var jsonLines = false

    func validate() throws { try ResultForm.check(json: json, jsonLines: jsonLines) }

    func run() async throws {
        guard model.model != nil else {
            throw UsageError(
                "chat needs a model that was made for conversations, which the one that ships was not: give one with -m, as in martlet chat -m path/to/SmolLM2-135M-Instruct.gguf"
            )
        }
        try await Ranks.lead(ranks, threads: model.threads, model.file) { try await talk() }
    }

    private func talk() async throws {
        let file = try model.file()
        let loaded = try await LanguageModel.load(path: file.path, threads: model.threads) { file }
        _ = try loaded.chat.get()
        try sampling.check(vocabulary: loaded.architecture.vocabulary)
        let session = loaded.session(instructions: system)
        let options = sampling.options(sampling.defaults(of: loaded, verbose: model.verbose))
        if isatty(0) == 1 && isatty(1) == 1 && !json {
            let given = model.model ?? ""
            // A path by its last part, a name of the hub as it is.
            let name =
                unsafe access(given, F_OK) == 0 ? given.split(separator: "/").last.map(String.init) ?? given : given
            return try await ChatTalk(name: name, options: options).run(session)
        }
        while let line = readLine() {
            if !line.utf8.isEmpty { try await answer(line, session, options) }
        }
    }

    /// Writes the answer as it comes.
    private func answer(
        _ prompt: String, _ session: LanguageModelSession, _ options: GenerationOptions
    ) async throws {
        for try await snapshot in session.streamResponse(to: prompt, options: options) {
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
