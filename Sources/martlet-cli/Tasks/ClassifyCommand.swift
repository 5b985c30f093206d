import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet classify`: classes of each line, or a number.
struct ClassifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "classify", abstract: "Say which class each line belongs to.",
        discussion: "Example: echo \"I loved it\" | martlet classify -m path/to/model --json")

    @OptionGroup var input: TaskInput

    @Flag(help: "Each line holds two texts, separated by a tab.")
    var pairs = false

    func run() async throws {
        let lines = try input.lines()
        let texts = try lines.enumerated().map { number, line -> (text: String, pair: String?) in
            guard pairs else { return (line, nil) }
            let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw UsageError("line \(number + 1) has no tab between two texts") }
            return (String(parts[0]), String(parts[1]))
        }
        let (file, tokenizer, device) = try input.load()
        let classifier = try Classifier(file, tokenizer, on: device)
        for scores in try classifier.classify(texts) {
            guard let best = scores.first else { continue }
            let all = JSON.array(scores.map { ["label": .string($0.label), "score": .score($0.score)] })
            input.write(
                ["label": .string(best.label), "score": .score(best.score), "scores": all],
                "\(best.label)\t\(best.score)")
        }
    }
}
