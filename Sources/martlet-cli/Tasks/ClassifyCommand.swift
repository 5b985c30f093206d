import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet classify`: classes of each line, or a number.
struct ClassifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "classify", abstract: "Classify each line.",
        discussion: "Example: echo \"I loved it\" | martlet classify -m path/to/model --json")

    @OptionGroup var input: TaskInput

    @Flag(help: "Each line holds two texts, separated by a tab.")
    var pairs = false

    func run() async throws {
        try input.requireModel("classify", "classifies", example: "path/to/bert-sst2 reviews.txt")
        let (file, tokenizer, device) = try input.load()
        let classifier = try Classifier(file, tokenizer, on: device)
        let blank = TaskInput.Result(json: ["label": .null, "score": .null, "scores": []], words: "")
        try input.eachLine(blank: blank) { lines in
            try classifier.classify(lines.map(texts)).map { scores in
                guard let best = scores.first else { return blank }
                let all = JSON.array(scores.map { ["label": .string($0.label), "score": .score($0.score)] })
                return .init(
                    json: ["label": .string(best.label), "score": .score(best.score), "scores": all],
                    words: "\(best.label)\t\(best.score)")
            }
        }
        input.noteCuts(classifier.cutTexts, limit: classifier.limit)
    }

    private func texts(_ line: String) throws(UsageError) -> (text: String, pair: String?) {
        guard pairs else { return (line, nil) }
        let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw UsageError("there is no tab between two texts") }
        return (String(parts[0]), String(parts[1]))
    }
}
