import ArgumentParser
import MartletFormats
import MartletLayers
import MartletModels
import MartletTensors

/// `martlet forward`: run the model once and write what it computed.
struct ForwardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward", abstract: "Run the model once and write logits, hidden states and attention.",
        discussion: "Example: martlet forward -m path/to/model --tokens 1,403,407 -o out.safetensors")

    @OptionGroup var model: ModelOptions

    @Option(help: "Token ids of one sequence, separated by commas (repeat for several sequences).")
    var tokens: [String]

    @Flag(help: "Also write the attention weights of every layer.")
    var attentions = false

    @Option(name: [.customShort("o"), .long], help: "The safetensors file to write.")
    var output: String

    func run() async throws {
        let sequences = try tokens.map { try ForwardCommand.ids($0) }
        let file = try ModelFile(path: try model.path())
        let results = try ForwardPass.run(
            file, sequences, recording: attentions ? .weights : .nothing, on: Device(threads: model.threads))
        try Safetensors.write(results, to: output)
        Output.note("\(output): \(results.count) tensors of \(sequences.count) sequences")
    }

    static func ids(_ text: String) throws -> [Int32] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let id = Int32(part.filter { $0 != " " }) else {
                throw UsageError("--tokens: \"\(part)\" is not a token id")
            }
            return id
        }
    }
}
