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

            An output that ends in .gguf is a GGUF file, any other a directory. The tokenizer goes along.
            The mean of a run's last checkpoints: martlet convert -m runs/shakespeare --average 5 -o averaged
            """)

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The .gguf file or the directory to write.")
    var output: String

    @Option(help: "The weights' type (default: as they are).")
    var type: ConversionOptions.WeightType?

    @Flag(help: "Leave the tokenizer out.")
    var withoutTokenizer = false

    @Option(help: "For the weights of a run, take the mean of its newest checkpoints, this many.")
    var average: Int?

    @OptionGroup var outputs: OutputOptions

    func validate() throws {
        if let average, !(1...1000).contains(average) {
            throw ValidationError("--average is \(average), but lies between 1 and 1000.")
        }
        if average != nil && !(model.model.map(RunFolder.isRun) ?? false) {
            throw ValidationError("--average needs -m with the folder of a run of martlet train.")
        }
    }

    func run() throws {
        let path = try model.path()
        try outputs.check(output, inputs: [path])
        let file = try ModelFile(path: path)
        let export = try export(of: file, on: Device(threads: model.threads))
        let written = try file.write(
            export, to: output, named: model.model ?? path,
            ConversionOptions(type: type, includesTokenizer: !withoutTokenizer))
        for caveat in written.caveats { Output.note(caveat) }
        Output.note("\(output): \(written.modelType), \(written.parameters) parameters")
    }

    /// The file's weights, or in their place the mean of those of its run's checkpoints.
    private func export(of file: ModelFile, on device: Device) throws -> ModelExport {
        guard let average, let run = model.model else { return try ModelExport(file, on: device) }
        let (weights, steps) = try CheckpointStore(run + "/checkpoints").averagedWeights(average)
        Output.note("the mean of the checkpoints of steps \(steps.map(String.init).joined(separator: ", "))")
        let source = WeightSource(try file.architecture.inventory(), values: weights)
        return try ModelExport(modelType: file.modelType, file.architecture, source, on: device)
    }
}

extension ConversionOptions.WeightType: ExpressibleByArgument {}
