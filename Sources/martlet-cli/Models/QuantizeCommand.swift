import ArgumentParser
import Martlet
import MartletModels
import MartletPlanning
import MartletQuantization
import MartletTensors

/// `martlet quantize`: a model in fewer bits, and what that costs.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Write a model in fewer bits as a GGUF file, or compare what types would cost.",
        discussion: """
            Example: martlet quantize -m path/to/model --type Q4_K_M -o model.gguf
                     martlet quantize -m path/to/model --type Q8_0,Q4_K_M,Q4_0 --report --text wiki.txt

            The types are llama.cpp's mixes: \(FileType.writable.map(\.rawValue).joined(separator: ", ")).
            """)

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The .gguf file to write; with --report alone nothing is written.")
    var output: String?

    @Option(help: "The type, or several separated by commas for a report.")
    var type = "Q4_K_M"

    @Option(
        name: .customLong("tensor"),
        help: "PATTERN=TYPE for the tensors whose name matches: ffn_down=q6_K, blk.0.*=q8_0.")
    var tensors: [String] = []

    @Option(help: "A calibration text: weights are rounded with regard to the columns that it makes large.")
    var calibrate: String?

    @Option(help: "An importance matrix of llama.cpp's, a GGUF, in place of --calibrate.")
    var importance: String?

    @Option(help: "Write what --calibrate found as an importance matrix of llama.cpp's.")
    var saveImportance: String?

    @Flag(help: "Round as ggml does, without searching for the scales of least error.")
    var plain = false

    @Flag(
        help: "Report the error of every tensor and, on a text, perplexity and divergence from the unquantized model.")
    var report = false

    @Option(help: "The report's text (default: that of --calibrate).")
    var text: String?

    @Option(help: "The maximum number of tokens of each text.")
    var tokens = 16_384

    @Option(help: "The tokens of a piece of the calibration text.")
    var context = 512

    @Option(
        help:
            "The tokens of a window over the report's text, as in martlet evaluate (default: the model's context, at most 1024)."
    )
    var window: Int?

    @OptionGroup var form: ResultForm

    @OptionGroup var outputs: OutputOptions

    func validate() throws {
        for (name, value) in [("tokens", tokens), ("context", context)] where !(2...100_000_000).contains(value) {
            throw ValidationError("--\(name) is \(value), but must be between 2 and 100000000.")
        }
        if let window, window < 2 { throw ValidationError("--window is \(window), but at least 2.") }
        if output == nil && !report && saveImportance == nil {
            throw ValidationError("Nothing to do: give a file to write with -o, or --report.")
        }
        if calibrate != nil && importance != nil {
            throw ValidationError("--calibrate and --importance say the same thing: give one of them.")
        }
        if saveImportance != nil && calibrate == nil {
            throw ValidationError("--save-importance needs --calibrate.")
        }
        if form.isJSON && !report { throw ValidationError("--json and --json-lines are for --report.") }
        if text != nil && !report { throw ValidationError("--text is for --report.") }
    }

    func run() throws {
        let inputs = try model.inputs() + [calibrate, importance, text].compactMap { $0 }
        try outputs.check(output, inputs: inputs)
        try outputs.check(saveImportance, inputs: inputs + [output])
        let types = try fileTypes()
        for text in tensors {
            do { _ = try TensorOverride(text) } catch { throw UsageError("--tensor: \(error)") }
        }
        let file = try ModelFile(path: try model.path())
        var quantization = try ModelQuantization(file, options(), on: Device(threads: model.threads))
        let progress = SharedProgress()
        defer { progress.end() }
        quantization.progress = { progress.report($0) }
        quantization.note = { Output.note($0) }
        if let saveImportance, let calibrate {
            try quantization.writeImportance(to: saveImportance, dataset: calibrate)
        }
        if report {
            let sample = try (text ?? calibrate).map { (text: try Input.text($0, limit: Input.longestText), name: $0) }
            let results = try quantization.report(types, on: sample, writing: output)
            progress.end()
            if form.isJSON { form.write(results.json) } else { Output.write(results.text) }
        } else if let output {
            try quantization.write(types[0], to: output)
        }
        progress.end()
        if let output { Output.note("\(output): \(file.modelType), \(types[0].rawValue)") }
    }

    private func options() throws -> QuantizationOptions {
        let calibration: QuantizationOptions.Calibration =
            if let importance {
                .importanceMatrix(path: importance)
            } else if let calibrate {
                .text(try Input.text(calibrate, limit: Input.longestText), name: calibrate)
            } else {
                .none
            }
        return QuantizationOptions(
            calibration: calibration, rounding: plain ? .reference : .searched, tensors: tensors,
            maximumTokens: tokens, context: context, window: window)
    }

    private func fileTypes() throws -> [FileType] {
        let types = try type.split(separator: ",").map { name in
            guard let type = FileType(mix: String(name)), type.number != nil else {
                let known = FileType.writable.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--type: \(name) is no type that can be written. Known are \(known)")
            }
            return type
        }
        guard !types.isEmpty, output == nil || types.count == 1 else {
            throw UsageError("--type: one type for one file; several are for a report without -o")
        }
        return types
    }
}
