import ArgumentParser
import Martlet
import MartletFormats
import MartletLayers
import MartletModels
import MartletPlanning
import MartletQuantization
import MartletTensors
import MartletTokenizers

/// `martlet quantize`: a model in fewer bits, and what that costs.
struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Write a model in fewer bits as a GGUF file, or compare what types would cost.",
        discussion: """
            Example: martlet quantize -m path/to/model --type Q4_K_M -o model.gguf
            Example: martlet quantize -m path/to/model --type Q8_0,Q4_K_M,Q4_0 --report --text wiki.txt

            Types are llama.cpp's mixes: \(FileType.writable.map(\.rawValue).joined(separator: ", ")).
            """)

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The .gguf file to write; with --report alone nothing is written.")
    var output: String?

    @Option(help: "The type, or several with commas between for a report.")
    var type = "Q4_K_M"

    @Option(
        name: .customLong("tensor"),
        help: "PATTERN=TYPE for the tensors whose name matches: ffn_down=q6_K, blk.0.*=q8_0.")
    var tensors: [String] = []

    @Option(help: "A text; rounding minds the columns that it makes large.")
    var calibrate: String?

    @Option(help: "The same from llama.cpp's importance matrix, a GGUF.")
    var importance: String?

    @Option(help: "Write what --calibrate found as llama.cpp's importance matrix.")
    var saveImportance: String?

    @Flag(help: "Round as ggml does, without a search for the scales of least error.")
    var plain = false

    @Flag(help: "Say what every tensor lost and, on a text, perplexity and divergence from the unquantized model.")
    var report = false

    @Option(help: "The report's text (default: that of --calibrate).")
    var text: String?

    @Option(help: "The most tokens of a text.")
    var tokens = 16_384

    @Option(help: "Tokens of the pieces into which texts are cut.")
    var context = 512

    @Flag(help: "The report as one JSON document.")
    var json = false

    func validate() throws {
        for (name, value) in [("tokens", tokens), ("context", context)] where !(2...100_000_000).contains(value) {
            throw ValidationError("--\(name) is \(value), but lies between 2 and 100000000.")
        }
        if output == nil && !report && saveImportance == nil {
            throw ValidationError("Nothing to do: give a file to write with -o, or --report.")
        }
        if calibrate != nil && importance != nil {
            throw ValidationError("--calibrate and --importance say the same thing: give one of them.")
        }
        if saveImportance != nil && calibrate == nil {
            throw ValidationError("--save-importance needs --calibrate.")
        }
        if json && !report { throw ValidationError("--json is for --report.") }
        if text != nil && !report { throw ValidationError("--text is for --report.") }
    }

    func run() throws {
        let types = try fileTypes()
        let overrides = try tensors.map { text in
            do { return try TensorOverride(text) } catch { throw UsageError("--tensor: \(error)") }
        }
        let path = try model.path(), device = Device(threads: model.threads)
        let file = try ModelFile(path: path)
        let columns = try columns(of: file, device)
        var results = QuantizationReport()
        let sample = report ? try (text ?? calibrate).map { try windows(of: $0, file) } : nil
        // Never read when there is nothing to compare on.
        let reference = sample == nil ? nil : try file.decoder(on: device)
        for fileType in types {
            let quantizer = try Quantizer(
                file, fileType, overrides: overrides, importance: columns,
                rounding: plain ? .reference : .searched, on: device)
            let (decoder, errors) = try quantized(quantizer, file, needsDecoder: reference != nil, device)
            let divergence = reference.flatMap { reference in
                decoder.map { Divergence(of: $0, from: reference, on: sample ?? [], device: device) }
            }
            results.formats.append(.init(fileType, errors, divergence))
        }
        if report { if json { Output.document(results.json) } else { Output.write(results.text) } }
    }

    /// Writes the file where one is wanted, and gives the model as it is then.
    private func quantized(
        _ quantizer: Quantizer, _ file: ModelFile, needsDecoder: Bool, _ device: Device
    ) throws -> (Decoder?, [TensorError]) {
        guard let output else { return report ? try quantizer.decoder() : (nil, []) }
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        let errors = try quantizer.write(to: output, name: name, text: try said(of: file), measuring: report)
        Output.note("\(output): \(file.modelType), \(quantizer.fileType.rawValue)")
        return (needsDecoder ? try ModelFile(path: output).decoder(on: device) : nil, errors)
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

    /// What the columns of the matrices matter, where anything says so.
    private func columns(of file: ModelFile, _ device: Device) throws -> Importance? {
        let weights = try Quantizer(file, .f32, on: device).weights()
        if let importance { return try Importance(contentsOf: importance, for: weights) }
        guard let calibrate else { return nil }
        let columns = try Importance(of: file, on: windows(of: calibrate, file), device: device)
        if let saveImportance { try columns.write(to: saveImportance, for: weights, dataset: calibrate) }
        return columns
    }

    /// The tokens of a text, in pieces that the model can read.
    private func windows(of path: String, _ file: ModelFile) throws -> [[Int32]] {
        let tokenizer = try ModelText.tokenizer(of: file)
        let ids = try tokenizer.encode(try Input.text(path), addSpecialTokens: false)
        let empty = try tokenizer.encode("")
        let beginning = empty.first.map { $0 == tokenizer.specialTokens.beginning ? [$0] : [] } ?? []
        if let wrong = ids.first(where: { $0 < 0 || $0 >= file.architecture.vocabulary }) {
            throw ModelError(
                "\(path): token \(wrong) is not in the model's vocabulary of \(file.architecture.vocabulary)")
        }
        let size = min(context, file.architecture.context ?? context)
        let windows = Divergence.windows(Array(ids.prefix(tokens)), size: size, beginning: beginning)
        guard !windows.isEmpty else { throw ModelError("\(path): the text is too short: it has \(ids.count) tokens") }
        return windows
    }

    /// What a GGUF says beside the model's settings: its tokenizer, and where it comes from.
    private func said(of file: ModelFile) throws -> GGUFMetadata {
        switch file.container {
        case .directory(let path):
            return try TokenizerConversion.metadata(ofDirectory: path, vocabulary: file.architecture.vocabulary)
        case .gguf(let gguf):
            var metadata = TokenizerConversion.metadata(of: gguf)
            let others = [
                "general.architecture", "general.alignment", "general.file_type", "general.quantization_version",
            ]
            for (key, value) in gguf.metadata.entries
            where key.utf8.starts(with: "general.".utf8) && !others.contains(key) {
                metadata[key] = value
            }
            return metadata
        }
    }
}
