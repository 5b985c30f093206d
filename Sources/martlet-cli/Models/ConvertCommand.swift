import ArgumentParser
import Martlet
import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
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

    /// What the weights can be written as.
    enum WeightType: String, ExpressibleByArgument, CaseIterable {
        case f32, f16, bf16

        var elementType: ElementType {
            switch self {
            case .f32: .f32
            case .f16: .f16
            case .bf16: .bf16
            }
        }
    }

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The .gguf file or the directory to write.")
    var output: String

    @Option(help: "The weights' type (default: as they are).")
    var type: WeightType?

    @Flag(help: "Leave the tokenizer out.")
    var withoutTokenizer = false

    @Option(help: "For the weights of a run, take the mean of its newest checkpoints, this many.")
    var average: Int?

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
        let file = try ModelFile(path: path)
        let export = try export(of: file, on: Device(threads: model.threads))
        if output.utf8.suffix(5).elementsEqual(".gguf".utf8) {
            try GGUFExport.write(
                file, export, to: output, name: model.model ?? path, type: type?.elementType,
                withTokenizer: !withoutTokenizer)
        } else {
            try writeDirectory(file, export)
        }
        Output.note("\(output): \(file.modelType), \(export.weights.inventory.total) parameters")
    }

    /// The file's weights, or in their place the mean of those of its run's checkpoints.
    private func export(of file: ModelFile, on device: Device) throws -> ModelExport {
        guard let average, let run = model.model else { return try ModelExport(file, on: device) }
        let (weights, steps) = try CheckpointStore(run + "/checkpoints").averagedWeights(average)
        Output.note("the mean of the checkpoints of steps \(steps.map(String.init).joined(separator: ", "))")
        let source = WeightSource(try file.architecture.inventory(), values: weights)
        return try ModelExport(modelType: file.modelType, file.architecture, source, on: device)
    }

    private func writeDirectory(_ file: ModelFile, _ export: ModelExport) throws {
        guard unsafe mkdir(output, 0o777) == 0 || errno == EEXIST else {
            throw ModelError("\(output): cannot make this directory: \(unsafe String(cString: strerror(errno)))")
        }
        var isConverted = type != nil
        switch file.container {
        case .directory(let path): if !withoutTokenizer { try TokenizerConversion.copyFiles(from: path, to: output) }
        case .gguf(let gguf):
            isConverted = true
            if !withoutTokenizer { try TokenizerConversion.write(gguf, to: output) }
        }
        let config = try file.publishedConfig(dataType: nil)
        let dataType = try export.writeSafetensors(in: output, type: type?.elementType)
        // A configuration whose weights stay as they were stays as it was.
        let written = isConverted ? try file.publishedConfig(dataType: dataType) : config
        try writeFile(JSON.object(written).serialized(.pretty(indent: 2)), to: output + "/config.json")
    }
}
