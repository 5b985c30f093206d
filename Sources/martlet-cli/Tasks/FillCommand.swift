import ArgumentParser
import MartletJSON
import MartletTasks

/// `martlet fill`: what may stand where a line has a mask.
struct FillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill", abstract: "Fill in the masks of each line.",
        discussion: "Example: echo \"Paris is the [MASK] of France.\" | martlet fill -m path/to/model")

    @OptionGroup var input: TaskInput

    @Option(help: "The number of tokens for each mask.")
    var top = 5

    func validate() throws {
        if top < 1 { throw ValidationError("--top is \(top), but at least 1.") }
    }

    func run() async throws {
        try input.requireModel("fill", "fills masks", example: "path/to/bert-base lines.txt")
        let (file, tokenizer, device) = try input.load()
        let filler = try MaskFiller(file, tokenizer, on: device)
        try input.eachLine(
            blank: .init(json: ["masks": []], words: ""),
            { result, number in
                guard let result else { return }
                if input.json || input.jsonLines { return input.write(result.json, "") }
                // Many fillings for one line: each is told with the numbers of the line and of the mask.
                for filling in result.words.split(separator: "\n") { Output.write("\(number)\t\(filling)\n") }
            },
            { lines in
                try filler.fill(lines, count: top).map { masks in
                    let objects = masks.map { fillings in
                        JSON.array(
                            fillings.map {
                                [
                                    "token": .integer(Int($0.token)), "text": .string($0.text),
                                    "score": .score($0.probability),
                                ]
                            })
                    }
                    let words = masks.enumerated().flatMap { mask, fillings in
                        fillings.map { "\(mask + 1)\t\($0.text)\t\($0.probability)" }
                    }
                    return .init(json: ["masks": .array(objects)], words: words.joined(separator: "\n"))
                }
            })
    }
}
