import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletTensors
import MartletTokenizers

/// What the verbs that answer line by line have in common: the model, the lines, how results are written.
struct TaskInput: ParsableArguments {
    @OptionGroup var model: ModelOptions

    @Argument(help: "A file with one text per line; standard input when absent or -.")
    var file = "-"

    @Option(help: "Round the matrices when they are loaded: q8_0 multiplies weights and activations as int8.")
    var weights: MatrixType?

    enum MatrixType: String, ExpressibleByArgument, CaseIterable { case eightBits = "q8_0" }

    @Flag(help: "One JSON object per line.")
    var json = false

    /// The lines, without empty ones at the end.
    func lines() throws -> [String] {
        let lines = InputLines.split(Array(try Input.text(file).utf8)).map { String(decoding: $0, as: UTF8.self) }
        guard !lines.isEmpty else { throw UsageError("there is no line to work on") }
        return lines
    }

    /// The model's files, its tokenizer, and the device to compute on.
    func load() throws -> (file: ModelFile, tokenizer: Tokenizer, device: Device) {
        let file = try modelFile()
        return (file, try ModelText.tokenizer(of: file), Device(threads: model.threads))
    }

    /// The model's files, as they are to be loaded.
    func modelFile() throws -> ModelFile { try TaskInput.modelFile(model, weights) }

    /// The files of a model, with its matrices rounded when they are loaded.
    static func modelFile(_ model: ModelOptions, _ weights: MatrixType?) throws -> ModelFile {
        var file = try ModelFile(path: try model.path())
        if weights == .eightBits { file.matrices = .q8_0 }
        return file
    }

    /// Writes a line: a JSON object, or the words that a person reads.
    func write(_ object: JSON, _ words: String) {
        Output.write((json ? object.text(.compact) : words) + "\n")
    }
}

extension JSON {
    /// A score as it was computed, no longer than needed to read it back.
    static func score(_ value: Float) -> JSON { .number(Double("\(value)") ?? Double(value)) }
}
