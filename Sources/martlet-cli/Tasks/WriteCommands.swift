import ArgumentParser
import Martlet
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTensors
import MartletTokenizers

/// The options by which an encoder-decoder writes; what is absent is as the model's files say.
struct WriterOptions: ParsableArguments {
    @Option(help: "A prefix for every text.")
    var prefix: String?

    @Option(help: "The number of beams; 1 is greedy.")
    var beams: Int?

    @Option(help: "The number of texts for each line, best first.")
    var results: Int?

    @Option(help: "The maximum number of new tokens.")
    var maxTokens: Int?

    @Option(help: "The minimum number of new tokens.")
    var minTokens: Int?

    @Option(help: "Divide scores by the length to this power.")
    var lengthPenalty: Float?

    @Option(help: "Let no n-gram of this length occur twice.")
    var noRepeatNgram: Int?

    func validate() throws {
        let counts: [(name: String, value: Int?, range: ClosedRange<Int>)] = [
            ("beams", beams, 1...1_000), ("results", results, 1...1_000), ("max-tokens", maxTokens, 1...Int(Int32.max)),
            ("min-tokens", minTokens, 0...Int(Int32.max)), ("no-repeat-ngram", noRepeatNgram, 0...Int(Int32.max)),
        ]
        for (name, value, range) in counts {
            guard let value, !range.contains(value) else { continue }
            throw ValidationError(
                "--\(name) is \(value), but must be between \(range.lowerBound) and \(range.upperBound).")
        }
        if let results, let beams, results > beams {
            throw ValidationError("--results is \(results), but \(beams) beams find no more than \(beams) texts.")
        }
        if let minTokens, let maxTokens, minTokens > maxTokens {
            throw ValidationError("--min-tokens is \(minTokens), above --max-tokens, which is \(maxTokens).")
        }
        if let lengthPenalty, !lengthPenalty.isFinite {
            throw ValidationError("--length-penalty is \(lengthPenalty), but must be a number.")
        }
    }

    func apply(to settings: inout WriterSettings) {
        if let prefix { settings.prefix = prefix }
        if let beams { settings.search.beams = beams }
        if let results { settings.search.results = results }
        if let maxTokens { settings.search.maximumTokens = maxTokens }
        if let minTokens { settings.search.rules.minimumNewTokens = minTokens }
        if let lengthPenalty { settings.search.lengthPenalty = lengthPenalty }
        if let noRepeatNgram { settings.search.rules.noRepeatNGram = noRepeatNgram }
    }

    /// Writes about each line, and the results to standard output.
    func run(_ input: TaskInput, _ task: Writer.Task, _ languages: Writer.Languages = .init()) throws {
        let verb = task == .translation ? "translate" : "summarize"
        try input.requireModel(
            verb, task == .translation ? "translates" : "summarizes",
            example: task == .translation ? "path/to/opus-mt-en-de lines.txt" : "path/to/bart-large-cnn articles.txt")
        let file = try input.modelFile()
        let device = Device(threads: input.model.threads)
        var writer = try Writer(file, ModelText.writerVocabulary(of: file), task: task, languages, on: device)
        apply(to: &writer.settings)
        let blank = TaskInput.Result(json: ["text": "", "score": .null, "results": []], words: "")
        try input.eachLine(batch: 16, blank: blank) { lines in
            try writer.write(lines).map { written in
                guard let best = written.first else { return blank }
                let all = JSON.array(
                    written.map {
                        [
                            "text": .string($0.text), "score": .score($0.score),
                            "log_probabilities": .array($0.logProbabilities.map { .score($0) }),
                        ]
                    })
                return .init(
                    json: ["text": .string(best.text), "score": .score(best.score), "results": all],
                    words: written.map(\.text).joined(separator: "\n"))
            }
        }
    }
}

/// `martlet translate`: each line in another language.
struct TranslateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "translate", abstract: "Translate each line.",
        discussion: "Example: echo \"Good morning.\" | martlet translate -m path/to/opus-mt-en-de")

    @OptionGroup var input: TaskInput
    @OptionGroup var options: WriterOptions

    @Option(
        name: [.customLong("from"), .customLong("source")],
        help: "The language of the lines, for models of several (de_DE for mBART, deu_Latn for NLLB, en for T5).")
    var source: String?

    @Option(
        name: [.customLong("to"), .customLong("target")],
        help:
            "The language to write, for models of several (ro_RO for mBART, fra_Latn for NLLB, fra for Marian, de for T5)."
    )
    var target: String?

    func run() async throws { try options.run(input, .translation, .init(source: source, target: target)) }
}

/// `martlet summarize`: each line in fewer words.
struct SummarizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summarize", abstract: "Summarize each line.",
        discussion: "Example: martlet summarize -m path/to/bart-large-cnn articles.txt")

    @OptionGroup var input: TaskInput
    @OptionGroup var options: WriterOptions

    func run() async throws { try options.run(input, .summarization) }
}
