import ArgumentParser
import Martlet
import MartletGeneration
import MartletJSON
import MartletPlatform

/// `martlet generate`: continue a text.
struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a text.",
        discussion: "Example: martlet generate -m path/to/model --max-tokens 100 \"Once upon a time\"")

    @OptionGroup var model: ModelOptions
    @OptionGroup var ranks: RankOptions

    @Argument(help: "The text to continue; - reads standard input, as does no prompt when something is piped in.")
    var prompt: String?

    @Option(help: "Read the prompt from this file; - is standard input.")
    var promptFile: String?

    @OptionGroup var sampling: SamplingOptions

    @Option(
        help:
            "Beam search with this many beams; 1 does not search (default: from the model's files)."
    )
    var beams: Int?

    @Option(help: "Write JSON that is valid under the JSON schema in this file; - is standard input.")
    var schema: String?

    @Option(help: "Write a text that matches this regular expression as a whole.")
    var regex: String?

    @Option(help: "Write a text of the GBNF grammar in this file; - is standard input.")
    var grammar: String?

    @Flag(help: "Speculative decoding by prompt look-up: the same text, faster where it repeats itself.")
    var guess = false

    @Option(
        help: """
            A draft model for speculative decoding, smaller and with the same vocabulary; the text is the same.
            """)
    var draft: String?

    @Flag(help: "One JSON document with the text, its tokens, usage and timings.")
    var json = false

    @Flag(help: "One JSON object per line as the text is written; the last one has usage and timings.")
    var jsonLines = false

    func validate() throws {
        try ResultForm.check(json: json, jsonLines: jsonLines)
        if let beams, !(1...1_000).contains(beams) {
            throw ValidationError("--beams is \(beams), but must be between 1 and 1000.")
        }
        if beams ?? 1 > 1 && sampling.isSampled {
            throw ValidationError(
                "--beams searches for the most probable text: leave out --temperature, --stop and --cache.")
        }
        if prompt != nil && promptFile != nil { throw ValidationError("Give the prompt or --prompt-file, not both.") }
        let forms = [schema, regex, grammar].compactMap { $0 }
        if forms.count > 1 { throw ValidationError("Give one of --schema, --regex and --grammar.") }
        if beams ?? 1 > 1 && (!forms.isEmpty || guess || draft != nil) {
            throw ValidationError(
                "--beams searches on its own: leave out --schema, --regex, --grammar, --guess and --draft.")
        }
    }

    /// The form that the text must have.
    private func form() throws -> OutputConstraint? {
        if let schema { return .schema(try Input.text(schema, limit: GenerateCommand.longestForm)) }
        if let grammar { return .grammar(try Input.text(grammar, limit: GenerateCommand.longestForm)) }
        return regex.map { .regularExpression($0) }
    }

    func run() async throws {
        try await Ranks.lead(ranks, threads: model.threads, model.file) { try await generate() }
    }

    private func generate() async throws {
        let text = try promptText()
        let file = try model.file()
        let loaded = try await LanguageModel.load(path: file.path, draft: draft, threads: model.threads) { file }
        try sampling.check(vocabulary: loaded.architecture.vocabulary)
        let defaults = sampling.defaults(of: loaded, verbose: model.verbose)
        let isFree = schema == nil && regex == nil && grammar == nil && !guess && draft == nil
        let beams = beams ?? (sampling.isSampled || !isFree ? 1 : defaults.beams)
        if beams > 1 { return try await search(loaded, text, defaults, beams: beams) }
        let prompted = try loaded.tokens(of: text).count
        guard prompted > 0 else { throw UsageError("the prompt is empty, and this model begins no text by itself") }
        var options = sampling.options(defaults, after: prompted)
        (options.constraint, options.guesses) = (try form(), guess)
        var result = ""
        var tokens: [Int32] = []
        var summary: GenerationSummary?
        for try await piece in try loaded.generate(text, options) {
            if json {
                result += piece.text
            } else if jsonLines {
                writeLine(piece)
            } else {
                Output.write(piece.text)
            }
            tokens += piece.tokens
            summary = piece.summary ?? summary
        }
        if let summary {
            noteFullContext(summary, most: options.maximumTokens)
            if model.verbose { noteGuesses(summary) }
        }
        if json, let summary {
            Output.document(document(result, tokens, summary))
        } else if !jsonLines {
            Output.write("\n")
        }
    }

    private func writeLine(_ piece: GeneratedPiece) {
        let tokens = piece.tokens.map { JSON.integer(Int($0)) }
        var object = JSONObject()
        object["text"] = .string(piece.text)
        object["tokens"] = .array(tokens)
        if let summary = piece.summary {
            for (key, value) in document("", [], summary).objectValue?.members ?? []
            where key != "text" && key != "tokens" {
                object[key] = value
            }
        }
        Output.write(JSON.object(object).text(.compact) + "\n")
    }

    private func search(
        _ model: LanguageModel, _ prompt: String, _ defaults: GenerationDefaults, beams: Int
    ) async throws {
        let prompted = try model.tokens(of: prompt).count
        let options = sampling.options(defaults, after: prompted)
        let search = BeamSearch.Options(
            beams: beams, results: min(beams, defaults.results), maximumTokens: options.maximumTokens,
            lengthPenalty: defaults.lengthPenalty, earlyStopping: defaults.earlyStopping, rules: options.rules)
        let found = try await model.search(prompt, search)
        guard let best = found.first else { return }
        guard json || jsonLines else { return Output.write(found.map { $0.text + "\n" }.joined()) }
        let document: JSON = [
            "text": .string(best.text),
            "tokens": .array(best.tokens.map { .integer(Int($0)) }),
            "score": .number(Double("\(best.score)") ?? 0),
            "finish_reason": .string(best.finish.rawValue),
            "usage": [
                "prompt_tokens": .integer(prompted), "completion_tokens": .integer(best.tokens.count),
                "total_tokens": .integer(prompted + best.tokens.count),
            ],
        ]
        if jsonLines { Output.write(document.text(.compact) + "\n") } else { Output.document(document) }
    }

    private func promptText() throws -> String {
        if let promptFile { return try Input.text(promptFile, limit: GenerateCommand.longestPrompt) }
        if prompt == "-" { return try Input.text("-", limit: GenerateCommand.longestPrompt) }
        if let prompt { return prompt }
        guard isatty(0) != 1 else {
            throw UsageError("there is no prompt: give it as an argument, with --prompt-file, or on standard input")
        }
        var text = try Input.text("-", limit: GenerateCommand.longestPrompt)
        // What echo adds is not meant.
        if text.utf8.last == 10 { text.unicodeScalars.removeLast() }
        guard !text.utf8.isEmpty else {
            throw UsageError(
                "there is no prompt: standard input is empty; give it as an argument, with --prompt-file, or on standard input"
            )
        }
        return text
    }

    private static let longestForm = 1 << 22

    /// No context holds more.
    private static var longestPrompt: Int { min(1 << 26, Input.longestText) }

    /// Says that it was not --max-tokens that ended the text.
    private func noteFullContext(_ summary: GenerationSummary, most: Int) {
        guard summary.finish == .length, summary.generatedTokens < most else { return }
        let positions = summary.promptTokens + summary.generatedTokens
        Output.note("martlet: ended after \(positions) tokens, which is all that the model's context holds")
    }

    private func noteGuesses(_ summary: GenerationSummary) {
        guard guess || draft != nil else { return }
        let (guessed, right) = (summary.guessedTokens, summary.acceptedTokens)
        let share = guessed > 0 ? ", \((Double(right) / Double(guessed) * 1_000).rounded() / 10) %" : ""
        Output.note("martlet: \(right) of \(guessed) guessed tokens were right\(share)")
    }

    private func document(_ text: String, _ tokens: [Int32], _ summary: GenerationSummary) -> JSON {
        func rate(_ count: Int, _ seconds: Double) -> JSON { seconds > 0 ? .number(Double(count) / seconds) : .null }
        var usage = JSONObject()
        usage["prompt_tokens"] = .integer(summary.promptTokens)
        usage["completion_tokens"] = .integer(summary.generatedTokens)
        usage["total_tokens"] = .integer(summary.promptTokens + summary.generatedTokens)
        if guess || draft != nil {
            usage["completion_tokens_details"] = [
                "accepted_prediction_tokens": .integer(summary.acceptedTokens),
                "rejected_prediction_tokens": .integer(summary.guessedTokens - summary.acceptedTokens),
            ]
        }
        return [
            "text": .string(text),
            "tokens": .array(tokens.map { .integer(Int($0)) }),
            "finish_reason": .string(summary.finish.rawValue),
            "usage": .object(usage),
            "timings": [
                "prompt_seconds": .number(summary.promptSeconds),
                "prompt_tokens_per_second": rate(summary.promptTokens, summary.promptSeconds),
                "generation_seconds": .number(summary.generationSeconds),
                "generation_tokens_per_second": rate(max(0, summary.generatedTokens - 1), summary.generationSeconds),
            ],
        ]
    }
}
