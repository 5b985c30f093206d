import ArgumentParser
import Martlet
import MartletDistributed
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
        commandName: "evaluate", abstract: "Score a model, or given predictions, against references.",
        discussion: """
            Example: martlet evaluate --task perplexity -m path/to/model --data book.txt
                     martlet evaluate --task bleu --data references.txt --predictions translations.txt

            The data of perplexity are a text. Those of the other tasks are JSON lines, comma-separated values with a \
            header, or tab-separated values in the order given here; --text, --pair and --label name a file's fields:
              bleu       source, reference (JSON: also references)
              accuracy   text, label (JSON: also pair)
              f1         the same
              squad      question, context, answers as JSON lines, or SQuAD's own file
              squad2     the same, with questions that have no answer
              spearman   text, pair, score
              entities   tokens, tags: words and IOB2 tags, as .conll or JSON lines
              rouge      text, summary
              chrf       source, reference
            No model is needed where every record has a prediction, or --predictions has a line for each.
            """)

    enum Task: String, ExpressibleByArgument, CaseIterable {
        case perplexity, bleu, accuracy, f1, squad, squad2, spearman, entities, rouge, chrf
    }
    enum Average: String, ExpressibleByArgument, CaseIterable { case binary, micro, macro }

    @OptionGroup var model: ModelOptions
    @OptionGroup var ranks: RankOptions

    @Option(help: "perplexity, bleu, accuracy, f1, squad, squad2, spearman, entities, rouge or chrf.")
    var task: Task

    @OptionGroup var file: EvaluationFile

    @Option(help: "A file with one prediction per line, in place of a model's.")
    var predictions: String?

    @Option(help: "Perplexity: the tokens of a window (default: the model's context, at most 1024).")
    var window: Int?

    @Option(help: "Perplexity: how far the window moves (default: half of it).")
    var stride: Int?

    @Option(help: "BLEU: 13a, intl, char or none.")
    var tokenize = "13a"

    @Option(help: "BLEU: exp, floor, add-k or none.")
    var smooth = "exp"

    @Option(help: "BLEU: the number of floor (default 0.1) and add-k (default 1).")
    var smoothValue: Double?

    @Flag(help: "BLEU: ignore case.")
    var lowercase = false

    @Option(help: "F1: binary, micro or macro.")
    var average = Average.macro

    @Option(help: "F1, binary: the label that counts.")
    var positive = "1"

    @Flag(help: "Accuracy, F1: also precision, recall and F1 of each class, and the confusion matrix.")
    var perClass = false

    @Option(help: "Accuracy, F1: show this many misclassified texts.")
    var errors = 0

    @Option(help: "chrF: the longest n-grams of words; 2 is chrF++.")
    var wordOrder = 0

    @Flag(help: "Entities: count only what begins with B- (seqeval's strict mode).")
    var strictTags = false

    @OptionGroup var form: ResultForm

    func validate() throws {
        if BLEUTokenizer(rawValue: tokenize) == nil {
            throw ValidationError("--tokenize is \(tokenize), not one of 13a, intl, char, none.")
        }
        if !["exp", "floor", "add-k", "none"].contains(smooth) {
            throw ValidationError("--smooth is \(smooth), not one of exp, floor, add-k, none.")
        }
        if let window, window < 2 { throw ValidationError("--window is \(window), but at least 2.") }
        if let stride, stride < 1 { throw ValidationError("--stride is \(stride), but at least 1.") }
        if let smoothValue {
            guard ["floor", "add-k"].contains(smooth) else {
                throw ValidationError("--smooth-value is for --smooth floor and --smooth add-k.")
            }
            guard smoothValue > 0, smoothValue.isFinite else {
                throw ValidationError("--smooth-value is \(smoothValue), but must be a number above 0.")
            }
        }
        if !(0...100).contains(wordOrder) {
            throw ValidationError("--word-order is \(wordOrder), but must be between 0 and 100.")
        }
        if errors < 0 { throw ValidationError("--errors is \(errors), but cannot be negative.") }
        if task == .entities, model.strict, model.model == nil {
            throw ValidationError("--strict is about a model's files; seqeval's strict mode is --strict-tags.")
        }
    }

    typealias Values = [(name: String, value: JSON)]

    @Flag(help: "Divide the model's matrices over the ranks, not the records.")
    var divideModel = false

    func run() async throws {
        if divideModel {
            return try await Ranks.lead(ranks, threads: model.threads, model.file) {
                write(try measure(Loading(load)))
            }
        }
        try ranks.launch(threads: model.threads)
        try Ranks.join { communicator in
            let values = try measure(Loading(over: communicator, load))
            if communicator.rank == 0 { write(values) }
        }
    }

    /// The measurements of the task, of the model that `load` gives where one is needed.
    func measure(_ load: Loading) throws -> Values {
        switch task {
        case .perplexity: try perplexity(load)
        case .bleu: try bleu(load)
        case .accuracy, .f1: try labels(load)
        case .squad, .squad2: try squad(load)
        case .spearman: try spearman(load)
        case .entities: try entities(load)
        case .rouge: try rouge(load)
        case .chrf: try characters(load)
        }
    }

    private func data(_ columns: [String], label name: String) throws -> EvaluationData {
        try EvaluationData(
            file.data, columns: columns, predictions: predictions,
            fields: ["text": file.text, "pair": file.pair, name: file.label ?? name])
    }

    private func entities(_ load: Loading) throws -> Values {
        let data = try EvaluationData(file.data, columns: ["tokens", "tags"], predictions: nil)
        let (words, tags) = (try data.words("tokens"), try data.words("tags"))
        var found: [[String]]
        if let predictions {
            var offences = DataOffences()
            found = try LabelledFile(predictions).records(&offences).map { $0.texts("tags") ?? [] }
            try offences.check()
            guard found.map(\.count) == tags.map(\.count) else {
                throw ModelError("\(predictions): its sentences are not those of \(file.data)")
            }
        } else {
            let (file, tokenizer, device) = try load()
            let tagger = try Tagger(file, tokenizer, on: device)
            found = try inParts(words, load.communicator) { try tagger.tags(ofWords: $0) }
        }
        let scores = FMeasure.ofSpans(predictions: found, labels: tags, strict: strictTags)
        let all = Classification(predictions: found.flatMap { $0 }, labels: tags.flatMap { $0 })
        return [
            ("f1", .number(scores.f1)), ("precision", .number(scores.precision)), ("recall", .number(scores.recall)),
            ("accuracy", .number(all.accuracy)), ("sentences", .integer(tags.count)),
        ]
    }

    private func rouge(_ load: Loading) throws -> Values {
        let data = try data(["text", "summary"], label: "summary")
        let references = try data.texts("summary")
        let found =
            try data.hasPredictions ? data.texts("prediction") : written(data.texts("text"), .summarization, load)
        let scores = ROUGE.corpus(found, references)
        return [
            ("rouge1", .number(scores.one)), ("rouge2", .number(scores.two)), ("rougeL", .number(scores.longest)),
            ("summaries", .integer(references.count)),
        ]
    }

    private func characters(_ load: Loading) throws -> Values {
        let data = try EvaluationData(file.data, columns: ["source", "reference"], predictions: predictions)
        let references = try data.lists("references", "reference")
        let found =
            try data.hasPredictions
            ? data.texts("prediction") : written(data.texts("source", "text"), .translation, load)
        return [
            ("chrf", .number(CharacterF(wordOrder: wordOrder).corpus(found, references))),
            ("word_order", .integer(wordOrder)), ("lines", .integer(found.count)),
        ]
    }

    private func written(_ sources: [String], _ task: Writer.Task, _ load: Loading) throws -> [String] {
        let (file, tokenizer, device) = try load()
        let writer = try Writer(file, tokenizer, task: task, on: device)
        return try inParts(sources, load.communicator) { try writer.write($0).map { $0.first?.text ?? "" } }
    }

    func load() throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device) {
        let file = try model.file(orShipped: task == .spearman ? .sentences : .writing)
        return (file, try ModelText.tokenizer(of: file), Device(threads: model.threads))
    }

    private func write(_ values: [(name: String, value: JSON)]) {
        guard form.isJSON else {
            for (name, value) in values { Output.write("\(name)\t\(value.stringValue ?? value.text())\n") }
            return
        }
        var object = JSONObject()
        object["task"] = .string(task.rawValue)
        for (name, value) in values { object[name] = value }
        form.write(.object(object))
    }

    private func perplexity(_ load: Loading) throws -> Values {
        let text = try Input.bytes(file.data, limit: Input.longestText)
        let (file, tokenizer, device) = try load()
        let tokens = try tokenizer.encode(bytes: text)
        guard tokens.count >= 2 else { throw ModelError("\(self.file.data): fewer than two tokens") }
        if let token = tokens.first(where: { Int($0) >= file.architecture.vocabulary }) {
            throw ModelError("token \(token) is none of the model's \(file.architecture.vocabulary)")
        }
        let window = TextWindows(context: file.architecture.context, window: self.window).window
        if let stride, stride > window {
            throw UsageError("--stride \(stride) would leave tokens out of windows of \(window)")
        }
        let windows = TextWindows(context: file.architecture.context, window: window, stride: stride)
        var progress = Progress()
        let score = try Perplexity(windows)(
            tokens, try file.decoder(on: device), over: load.communicator, on: device
        ) { done in
            progress.report("\(done) of \(tokens.count) tokens")
        }
        progress.end()
        let bits = score.loss * Double(score.tokens) / 0.693_147_180_559_945_3
        return [
            ("perplexity", .number(score.perplexity)), ("loss", .number(score.loss)),
            ("bits_per_byte", .number(bits / Double(text.count))), ("tokens", .integer(score.tokens)),
            ("window", .integer(window)), ("stride", .integer(windows.stride)),
        ]
    }

    private func bleu(_ load: Loading) throws -> Values {
        let data = try EvaluationData(file.data, columns: ["source", "reference"], predictions: predictions)
        let references = try data.lists("references", "reference")
        var hypotheses: [String]
        if data.hasPredictions {
            hypotheses = try data.texts("prediction")
        } else {
            hypotheses = try written(data.texts("source", "text"), .translation, load)
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
        return [
            ("bleu", .number(score.score)), ("precisions", .array(score.precisions.map { .number($0) })),
            ("brevity_penalty", .number(score.brevityPenalty)), ("lines", .integer(hypotheses.count)),
            ("signature", .string("tok:\(tokenize)|smooth:\(smooth)|case:\(lowercase ? "lc" : "mixed")")),
        ]
    }

    private func labels(_ load: Loading) throws -> Values {
        let data = try data(["text", "label"], label: "label")
        let labels = try data.texts("label")
        var predictions: [String]
        var confidences: [Double] = []
        if data.hasPredictions {
            predictions = try data.texts("prediction")
        } else {
            let texts = try data.texts("text")
            let (file, tokenizer, device) = try load()
            let pairs = data.records.map { $0["pair"]?.stringValue }
            let classifier = try Classifier(file, tokenizer, on: device)
            let guesses = try inParts(zip(texts, pairs).map { ($0, $1) }, load.communicator) {
                try classifier.classify($0).map {
                    JSON.array([.string($0.first?.label ?? ""), .score($0.first?.score ?? 0)])
                }
            }
            predictions = guesses.map { $0[0]?.stringValue ?? "" }
            confidences = guesses.map { Double(Float($0[1]?.doubleValue ?? 0)) }
        }
        let result = Classification(predictions: predictions, labels: labels)
        let average: Classification.Average =
            switch self.average {
            case .binary: .binary(positive: positive)
            case .micro: .micro
            case .macro: .macro
            }
        let scores = result.scores(average)
        var values: [(name: String, value: JSON)] = [("accuracy", .number(result.accuracy))]
        if task == .f1 {
            values += [
                ("f1", .number(scores.f1)), ("precision", .number(scores.precision)),
                ("recall", .number(scores.recall)), ("average", .string(self.average.rawValue)),
            ]
        }
        values += calibration(predictions, labels, confidences)
        values += details(result)
        if errors > 0, load.communicator.rank == 0 { showErrors(try data.texts("text"), predictions, labels) }
        return values + [("records", .integer(labels.count))]
    }

    private func calibration(
        _ predictions: [String], _ labels: [String], _ confidences: [Double]
    ) -> [(name: String, value: JSON)] {
        guard !confidences.isEmpty else { return [] }
        let isRight = zip(predictions, labels).map { $0.hasSameBytes(as: $1) }
        return [("calibration_error", .number(Calibration.error(confidences: confidences, isRight: isRight)))]
    }

    private func details(_ result: Classification) -> [(name: String, value: JSON)] {
        guard perClass else { return [] }
        var table = JSONObject()
        for item in result.perClass {
            table[item.label] = [
                "precision": .number(item.precision), "recall": .number(item.recall), "f1": .number(item.f1),
                "support": .integer(item.support),
            ]
        }
        let confusion = result.confusion.map { JSON.array($0.map { .integer($0) }) }
        return [("classes", .object(table)), ("confusion", .array(confusion))]
    }

    private func showErrors(_ texts: [String], _ predictions: [String], _ labels: [String]) {
        let wrong = texts.indices.filter { !predictions[$0].hasSameBytes(as: labels[$0]) }
        for index in wrong.prefix(errors) {
            Output.note("\(labels[index]) taken for \(predictions[index]): \(texts[index])")
        }
    }

    private func squad(_ load: Loading) throws -> Values {
        let data = try EvaluationData(file.data, columns: ["question", "context", "answers"], predictions: predictions)
        let answers = task == .squad2 ? try data.answers() : try data.lists("answers")
        var found: [String]
        if data.hasPredictions {
            found = try data.texts("prediction")
        } else {
            let questions = try zip(data.texts("question"), data.texts("context")).map { ($0, $1) }
            let (file, tokenizer, device) = try load()
            let answerer = try Answerer(file, tokenizer, on: device)
            var options = Answerer.Options()
            if task == .squad2 { options.noAnswer = .possible }
            found = try inParts(questions, load.communicator) {
                try answerer.answer($0, options).map { $0.first?.text ?? "" }
            }
        }
        let score = task == .squad2 ? SquadScore.second(found, answers) : SquadScore.corpus(found, answers)
        return [("exact_match", .number(score.exact)), ("f1", .number(score.f1)), ("questions", .integer(found.count))]
    }

    private func spearman(_ load: Loading) throws -> Values {
        let data = try data(["text", "pair", "score"], label: "score")
        let scores = try data.numbers("score")
        var found: [Double]
        if data.hasPredictions {
            found = try data.numbers("prediction")
        } else {
            let (texts, pairs) = (try data.texts("text"), try data.texts("pair"))
            let (file, tokenizer, device) = try load()
            let embedder = try Embedder(file, tokenizer, on: device)
            found = try inParts(zip(texts, pairs).map { ($0, $1) }, load.communicator) { part in
                zip(try embedder.embed(part.map(\.0)), try embedder.embed(part.map(\.1))).map {
                    EvaluateCommand.cosine($0, $1)
                }
            }
        }
        return [
            ("spearman", .number(Correlation.spearman(found, scores))),
            ("pearson", .number(Correlation.pearson(found, scores))), ("pairs", .integer(scores.count)),
        ]
    }

    private static func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }
}
