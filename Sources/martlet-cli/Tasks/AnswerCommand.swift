import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletTasks
import MartletTensors

/// `martlet answer`: the answer to a question, as it stands in a text.
struct AnswerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Find the answer to a question in a text.",
        discussion: "Example: martlet answer -m path/to/model --context article.txt \"Who wrote it?\"")

    @OptionGroup var model: ModelOptions

    @Argument(help: "The question.")
    var question: String

    @Option(help: "The file with the text; standard input with -.")
    var context: String

    @Option(help: "The number of answers, best first.")
    var results = 1

    @Option(help: "The maximum length of an answer in tokens.")
    var longest = 15

    @Option(help: "The tokens of a window, question included.")
    var window = 384

    @Option(help: "The tokens that neighbouring windows share.")
    var overlap = 128

    @Option(help: "Quantize the matrices on loading: q8_0 multiplies weights and activations as int8.")
    var weights: TaskInput.MatrixType?

    @Flag(help: "Let \"no answer\" compete with the others.")
    var noAnswer = false

    @Flag(help: "One JSON object: the best answer, and all in \"answers\".")
    var json = false

    @Flag(help: "The same as --json: there is one object.")
    var jsonLines = false

    func validate() throws {
        try ResultForm.check(json: json, jsonLines: jsonLines)
        if results < 1 || longest < 1 || window < 1 || overlap < 0 {
            throw ValidationError("--results, --longest and --window are at least 1, --overlap at least 0.")
        }
    }

    func run() async throws {
        guard model.model != nil else {
            throw UsageError(
                "answer needs a model that finds answers, which the one that ships does not: give one with -m, as in martlet answer -m path/to/roberta-squad2 --context article.txt \"Who wrote it?\""
            )
        }
        let text = try Input.text(context)
        let file = try TaskInput.modelFile(model, weights)
        let (tokenizer, device) = (try ModelText.tokenizer(of: file), Device(threads: model.threads))
        var options = Answerer.Options()
        (options.results, options.longestAnswer) = (results, longest)
        (options.window, options.overlap) = (window, overlap)
        options.noAnswer = noAnswer ? .possible : .excluded
        let answers = try Answerer(file, tokenizer, on: device).answer([(question, text)], options)[0]
        let objects = answers.map { answer -> JSON in
            [
                "text": .string(answer.text), "score": .score(answer.score), "start": .integer(answer.start),
                "end": .integer(answer.end),
            ]
        }
        guard json || jsonLines else {
            for answer in answers { Output.write("\(answer.text)\n") }
            return
        }
        guard var document = objects.first?.objectValue else { return Output.write("{\"answers\":[]}\n") }
        document["answers"] = .array(objects)
        Output.write(JSON.object(document).text(.compact) + "\n")
    }
}
