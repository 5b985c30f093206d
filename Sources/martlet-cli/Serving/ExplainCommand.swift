import ArgumentParser
import MartletAPI
import MartletFormats
import MartletJSON
import MartletPlatform

/// `martlet explain`: one forward pass as a page in one file.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Write one forward pass as a page: tokens, attention, next tokens, every layer's guess, the cost.",
        discussion: "Example: martlet explain -m path/to/model \"The quick brown fox\" -o fox.html")

    @OptionGroup var model: ModelOptions

    @Argument(help: "The text; - reads standard input.")
    var text: String

    @Option(help: "A second text, for models that read two.")
    var pair: String?

    @Option(help: "The text that an encoder-decoder's decoder reads (default: what the model writes).")
    var target: String?

    @Option(help: "The token whose next token is shown, from 0 (default: the last, or the first mask).")
    var row: Int?

    @Option(name: [.customShort("o"), .long], help: "The HTML file to write.")
    var output: String

    @Flag(help: "Write the numbers as JSON instead of a page.")
    var json = false

    @OptionGroup var outputs: OutputOptions

    func run() async throws {
        let path = try model.path()
        try outputs.check(output, inputs: model.inputs())
        let name = model.model?.split(separator: "/").last.map(String.init) ?? "martlet"
        let loaded = try await ServedModel.load(name: name, path: path, .init(threads: model.threads))
        let look = try await loaded.look(
            .init(text: text == "-" ? Input.text("-") : text, pair: pair, target: target, row: row))
        try check(look)
        try writeFile(json ? look.serialized() : PageRoutes.file(about: look), to: output)
        Output.note("\(output): \(name)")
    }

    /// - Throws: ``UsageError`` for what was asked of another kind of model, or of a token that there is not.
    private func check(_ look: JSON) throws(UsageError) {
        let isTwofold = look["target_tokens"] != nil
        if target != nil && !isTwofold {
            throw UsageError("--target is for encoder-decoders, which read a text of their own")
        }
        let count = look[isTwofold ? "target_tokens" : "tokens"]?.arrayValue?.count ?? 0
        if let row, !(0..<count).contains(row) {
            throw UsageError("--row is \(row), but there are \(count) tokens, from 0 to \(count - 1)")
        }
    }
}
