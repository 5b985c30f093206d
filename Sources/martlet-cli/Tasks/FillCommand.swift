import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet fill`: what may stand where a line has a mask.
struct FillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill", abstract: "Say what may stand at each mask of each line.",
        discussion: "Example: echo \"Paris is the [MASK] of France.\" | martlet fill -m path/to/model")

    @OptionGroup var input: TaskInput

    @Option(help: "How many tokens for each mask.")
    var top = 5

    func validate() throws {
        if top < 1 { throw ValidationError("--top is \(top), but at least 1.") }
    }

    func run() async throws {
        let lines = try input.lines()
        let (file, tokenizer, device) = try input.load()
        for masks in try MaskFiller(file, tokenizer, on: device).fill(lines, count: top) {
            let objects = masks.map { fillings in
                JSON.array(
                    fillings.map {
                        [
                            "token": .integer(Int($0.token)), "text": .string($0.text), "score": .score($0.probability),
                        ]
                    })
            }
            let words = masks.map { $0.map { "\($0.text)\t\($0.probability)" }.joined(separator: "\n") }
            input.write(["masks": .array(objects)], words.joined(separator: "\n\n"))
        }
    }
}
