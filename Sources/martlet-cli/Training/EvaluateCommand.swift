import ArgumentParser
import Martlet
import MartletJSON
import MartletLayers
import MartletModels
import MartletTasks
import MartletTensors
import MartletTokenizers
import MartletTraining

/// `martlet evaluate`: how good a model, or a file of predictions, is.
struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure a model, or predictions, against what is right.",
        discussion: """
            Example: martlet evaluate --task perplexity -m path/to/model --data book.txt
                     martlet evaluate --task bleu --data references.txt --predictions translations.txt

            The data of perplexity are a text. Of the other tasks they are JSON lines, or tab-separated values in the order given here:
              bleu       source, reference (JSON: also references)
              accuracy   text, label (JSON: also pair)
              f1         the same
              squad      question, context, answers as JSON lines, or SQuAD's own file
              spearman   text, pair, score
            Where every record brings a prediction, or --predictions has a line for each, no model is needed.
            """)

    enum Task: String, ExpressibleByArgument, CaseIterable { case perplexity, bleu, accuracy, f1, squad, spearman }
    enum Average: String, ExpressibleByArgument, CaseIterable { case binary, micro, macro }

    @OptionGroup var model: ModelOptions

    @Option(help: "perplexity, bleu, accuracy, f1, squad or spearman.")
    var task: Task

    @Option(help: "What is right.")
    var data: String

    @Option(help: "One prediction a line, in place of a model's.")
    var predictions: String?

    @Option(help: "Perplexity: tokens of a window (default: the model's context, at most 1024).")
    var window: Int?

    @Option(help: "Perplexity: how far the window moves (default: half of it).")
    var stride: Int?

    @Option(help: "BLEU: 13a, intl, char or none.")
    var tokenize = "13a"

    @Option(help: "BLEU: exp, floor, add-k or none.")
    var smooth = "exp"

    @Option(help: "BLEU: the number of floor (default 0.1) and add-k (default 1).")
    var smoothValue: Double?

    @Flag(help: "BLEU: without regard to case.")
    var lowercase = false

    @Option(help: "F1: binary, micro or macro.")
    var average = Average.macro

    @Option(help: "F1, binary: the label that counts.")
    var positive = "1"

    @Flag(help: "One JSON document.")
    var json = false

    func validate() throws {
        if BLEUTokenizer(rawValue: tokenize) == nil {
            throw ValidationError("--tokenize is \(tokenize), not one of 13a, intl, char, none.")
        }
        if !["exp", "floor", "add-k", "none"].contains(smooth) {
            throw ValidationError("--smooth is \(smooth), not one of exp, floor, add-k, none.")
        }
        if let window, window < 2 { throw ValidationError("--window is \(window), but at least 2.") }
        if let stride, stride < 1 { throw ValidationError("--stride is \(stride), but at least 1.") }
    }

    func run() async throws {
        switch task {
        case .perplexity: try perplexity()
        case .bleu: try bleu()
        case .accuracy, .f1: try labels()
        case .squad: try squad()
        case .spearman: try spearman()
        }
    }

    private func load() throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device) {
        let file = try ModelFile(path: try model.path())
        return (file, try ModelText.tokenizer(of: file), Device(threads: model.threads))
    }

    private func write(_ values: [(name: String, value: JSON)]) {
        guard json else {
            for (name, value) in values { Output.write("\(name)\t\(value.stringValue ?? value.text())\n") }
            return
        }
        var object = JSONObject()
        object["task"] = .string(task.rawValue)
        for (name, value) in values { object[name] = value }
        Output.document(.object(object))
    }

    private func perplexity() throws {
        let text = try Input.bytes(data)
        let (file, tokenizer, device) = try load()
        let tokens = try tokenizer.encode(bytes: text)
        guard tokens.count >= 2 else { throw ModelError("\(data): fewer than two tokens") }
        if let token = tokens.first(where: { Int($0) >= file.architecture.vocabulary }) {
            throw ModelError("token \(token) is none of the model's \(file.architecture.vocabulary)")
        }
        let context = file.architecture.context ?? 1024
        let window = min(self.window ?? min(context, 1024), context)
        let stride = stride ?? max(1, window / 2)
        guard stride <= window else {
            throw UsageError("--stride \(stride) would leave tokens out of windows of \(window)")
        }
        let score = Perplexity(window: window, stride: stride)(tokens, try file.decoder(on: device), on: device)
        let bits = score.loss * Double(score.tokens) / 0.693_147_180_559_945_3
        write([
            ("perplexity", .number(score.perplexity)), ("loss", .number(score.loss)),
            ("bits_per_byte", .number(bits / Double(text.count))), ("tokens", .integer(score.tokens)),
            ("window", .integer(window)), ("stride", .integer(stride)),
        ])
    }

    private func bleu() throws {
        let data = try EvaluationData(self.data, columns: ["source", "reference"], predictions: predictions)
        let references = try data.lists("references", "reference")
        var hypotheses: [String]
        if data.hasPredictions {
            hypotheses = try data.texts("prediction")
        } else {
            let sources = try data.texts("source", "text")
            let (file, tokenizer, device) = try load()
            let writer = try Writer(file, tokenizer, task: .translation, on: device)
            hypotheses = try writer.write(sources).map { $0.first?.text ?? "" }
        }
        let smoothing: BLEU.Smoothing =
            switch smooth {
            case "floor": .floor(smoothValue ?? 0.1)
            case "add-k": .add(smoothValue ?? 1)
            case "none": .none
            default: .exponential
            }
        let tokenizer = BLEUTokenizer(rawValue: tokenize) ?? .thirteenA
        let score = BLEU(tokenizer, smoothing: smoothing, lowercases: lowercase).corpus(hypotheses, references)
        write([
            ("bleu", .number(score.score)), ("precisions", .array(score.precisions.map { .number($0) })),
            ("brevity_penalty", .number(score.brevityPenalty)), ("lines", .integer(hypotheses.count)),
            ("signature", .string("tok:\(tokenize)|smooth:\(smooth)|case:\(lowercase ? "lc" : "mixed")")),
        ])
    }

    private func labels() throws {
        let data = try EvaluationData(self.data, columns: ["text", "label"], predictions: predictions)
        let labels = try data.texts("label")
        var predictions: [String]
        if data.hasPredictions {
            predictions = try data.texts("prediction")
        } else {
            let texts = try data.texts("text")
            let (file, tokenizer, device) = try load()
            let pairs = data.records.map { $0["pair"]?.stringValue }
            let scores = try Classifier(file, tokenizer, on: device).classify(Array(zip(texts, pairs)).map { ($0, $1) })
            predictions = scores.map { $0.first?.label ?? "" }
        }
        let result = Classification(predictions: predictions, labels: labels)
        let average: Classification.Average =
            switch self.average {
            case .binary: .binary(positive: positive)
            case .micro: .micro
            case .macro: .macro
            }
        let scores = result.scores(average)
        write(
            [("accuracy", .number(result.accuracy))]
                + (task == .accuracy
                    ? []
                    : [
                        ("f1", .number(scores.f1)), ("precision", .number(scores.precision)),
                        ("recall", .number(scores.recall)), ("average", .string(self.average.rawValue)),
                    ]) + [("records", .integer(labels.count))])
    }

    private func squad() throws {
        let data = try EvaluationData(self.data, columns: ["question", "context", "answers"], predictions: predictions)
        let answers = try data.lists("answers")
        var found: [String]
        if data.hasPredictions {
            found = try data.texts("prediction")
        } else {
            let questions = try zip(data.texts("question"), data.texts("context")).map { ($0, $1) }
            let (file, tokenizer, device) = try load()
            let answerer = try Answerer(file, tokenizer, on: device)
            found = try answerer.answer(questions).map { $0.first?.text ?? "" }
        }
        let score = SquadScore.corpus(found, answers)
        write([("exact_match", .number(score.exact)), ("f1", .number(score.f1)), ("questions", .integer(found.count))])
    }

    private func spearman() throws {
        let data = try EvaluationData(self.data, columns: ["text", "pair", "score"], predictions: predictions)
        let scores = try data.numbers("score")
        var found: [Double]
        if data.hasPredictions {
            found = try data.numbers("prediction")
        } else {
            let (texts, pairs) = (try data.texts("text"), try data.texts("pair"))
            let (file, tokenizer, device) = try load()
            let embedder = try Embedder(file, tokenizer, on: device)
            found = zip(try embedder.embed(texts), try embedder.embed(pairs)).map { EvaluateCommand.cosine($0, $1) }
        }
        write([
            ("spearman", .number(RankCorrelation.spearman(found, scores))),
            ("pearson", .number(RankCorrelation.pearson(found, scores))), ("pairs", .integer(scores.count)),
        ])
    }

    private static func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }
}
