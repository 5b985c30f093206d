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

    @Option(help: "The tokens that an encoder-decoder's decoder reads, one list for each --tokens.")
    var decoderTokens: [String] = []

    @Option(help: "The sentence that each token belongs to (BERT), one list for each --tokens.")
    var segments: [String] = []

    @Option(help: "The positions with global attention (Longformer), one list for each --tokens.")
    var globals: [String] = []

    @Flag(help: "Also write every layer's output.")
    var layers = false

    @Flag(help: "Also write the attention weights of every layer.")
    var attentions = false

    @Option(name: [.customShort("o"), .long], help: "The safetensors file to write.")
    var output: String

    @OptionGroup var outputs: OutputOptions

    func run() async throws {
        try outputs.check(output, inputs: model.inputs())
        let sequences = try tokens.map { try ForwardCommand.ids($0, "--tokens") }
        let decoder = try lists(decoderTokens, "--decoder-tokens")
        let segments = try lists(segments, "--segments")
        let globals = try lists(globals, "--globals")
        let inputs = sequences.indices.map { index in
            ForwardPass.Input(
                sequences[index], segments: segments?[index], decoderTokens: decoder?[index],
                globals: globals?[index].map { Int($0) })
        }
        let file = try model.file()
        let results = try ForwardPass.run(
            file, inputs, recording: attentions ? .weights : .nothing, layers: layers ? .all : .last,
            on: Device(threads: model.threads))
        try Safetensors.write(results, to: output)
        Output.note("\(output): \(results.count) tensors of \(sequences.count) sequences")
    }

    /// The lists of ids, as many as there are sequences, or none.
    private func lists(_ texts: [String], _ name: String) throws -> [[Int32]]? {
        guard !texts.isEmpty else { return nil }
        guard texts.count == tokens.count else {
            throw UsageError("\(name) is given \(texts.count) times, --tokens \(tokens.count) times")
        }
        return try texts.map { try ForwardCommand.ids($0, name) }
    }

    static func ids(_ text: String, _ name: String) throws -> [Int32] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let id = Int32(part.filter { $0 != " " }) else {
                throw UsageError("\(name): \"\(part)\" is not a token id")
            }
            return id
        }
    }
}
