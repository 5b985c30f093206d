public import ArgumentParser
public import Martlet
import MartletLayers
import MartletModels
import MartletTensors
import MartletTraining

/// `martlet convert`: the same model as a Hugging Face directory or as a GGUF file.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Write a model as a Hugging Face directory or as a GGUF file.",
        discussion: """
            Example: martlet convert -m path/to/model -o model.gguf

            An output that ends in .gguf is a GGUF file, any other a directory. The tokenizer is written with it.

            The mean of a run's last checkpoints:
              martlet convert -m runs/shakespeare --average 5 -o averaged
            An adapter as a GGUF for llama.cpp:
              martlet convert -m base --adapter adapter -o adapter.gguf
            A model with an adapter merged into its weights:
              martlet convert -m base --adapter adapter --merge -o merged
            """)

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The .gguf file or the directory to write.")
    var output: String

    @Option(help: "The element type of the weights (default: as stored).")
    var type: ConversionOptions.WeightType?

    @Flag(help: "Leave the tokenizer out.")
    var withoutTokenizer = false

    @Option(help: "Average the weights of a run's newest checkpoints, this many.")
    var average: Int?

    @Flag(
        help:
            "Merge the adapters into the weights, which are written in f32 or as --type says, never in quantized blocks."
    )
    var merge = false

    @OptionGroup var outputs: OutputOptions

    func validate() throws {
        if let average, !(1...1000).contains(average) {
            throw ValidationError("--average is \(average), but must be between 1 and 1000.")
        }
        if average != nil && !(model.model.map(RunFolder.isRun) ?? false) {
            throw ValidationError("--average needs -m with the folder of a run of martlet train.")
        }
    }

    func run() throws {
        let path = try model.path()
        try outputs.check(output, inputs: model.inputs())
        let file = try model.file()
        let device = Device(threads: model.threads)
        if merge && file.adapters.isEmpty { throw UsageError("--merge: there is no adapter to put into the weights") }
        if !file.adapters.isEmpty && !merge && ModelFile.isNamedGGUF(output) {
            try file.writeAdapter(to: output, on: device)
            return Output.note("\(output): the adapter for llama.cpp, without its base")
        }
        let progress = SharedProgress()
        let export = try export(of: file, on: device).reporting { share in
            progress.report("\(Int(share * 100)) % written")
        }
        let written = try file.write(
            export, to: output, named: model.model ?? path,
            ConversionOptions(type: type, includesTokenizer: !withoutTokenizer))
        progress.end()
        for caveat in written.caveats { Output.note(caveat) }
        Output.note("\(output): \(written.modelType), \(written.parameters) parameters")
        if merge && !file.adapters.isEmpty { try compare(file, with: ModelFile(path: output), on: device) }
    }

    /// Says how far the merged model is from the one whose adapters stand beside its weights.
    private func compare(_ file: ModelFile, with merged: ModelFile, on device: Device) throws {
        let count = min(16, file.architecture.vocabulary, file.architecture.context ?? 16)
        var input = ForwardPass.Input((0..<count).map { Int32($0 * 7919 % file.architecture.vocabulary) })
        if case .encoderDecoder = file.architecture.body, file.architecture.writes {
            input.decoderTokens = input.tokens
        }
        func logits(_ file: ModelFile) throws -> [Float] {
            let results = try ForwardPass.run(file, [input], on: device)
            return results.first { $0.name == "logits.0" || $0.name == "hidden.0" }?.tensor.values ?? []
        }
        let (found, wanted) = (try logits(merged), try logits(file))
        let difference = zip(found, wanted).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        let largest = wanted.reduce(Float(0)) { max($0, abs($1)) }
        Output.note(
            "merged: logits differ by at most \(difference) from those with the adapters beside, the largest being \(largest)"
        )
    }

    /// The file's weights, or in their place the mean of those of its run's checkpoints.
    private func export(of file: ModelFile, on device: Device) throws -> ModelExport {
        guard let average, let run = model.model else { return try ModelExport(file, merging: merge, on: device) }
        guard file.adapters.isEmpty else {
            throw ModelError("\(run) trained adapters: a mean of whole models cannot be made of their checkpoints")
        }
        let (weights, steps) = try CheckpointStore(run + "/checkpoints").averagedWeights(average)
        Output.note("the mean of the checkpoints of steps \(steps.map(String.init).joined(separator: ", "))")
        let source = try WeightSource(
            file.architecture.inventory(), values: weights, else: file.checkpoint(), on: device)
        return try ModelExport(modelType: file.modelType, file.architecture, source, on: device)
    }
}

extension ConversionOptions.WeightType: ExpressibleByArgument {}
