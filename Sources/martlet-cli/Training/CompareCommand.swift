import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTokenizers

/// `martlet compare`: size, speed and quality of several models side by side.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare models by size, speed and quality.",
        discussion: """
            Example: martlet compare runs/banking77 runs/banking77-distilled --task accuracy --data test.csv --label category

            Every model is loaded and measured in turn on the same data, as martlet evaluate does. Seconds are the \
            best of --repeat, loading included. Speed, by processor seconds, and quality are also given relative to \
            the first model.
            """)

    @Argument(help: "The models; the others are compared with the first.")
    var models: [String] = []

    @Option(help: "A task of martlet evaluate.")
    var task: EvaluateCommand.Task

    @OptionGroup var file: EvaluationFile

    @Option(help: "Compute threads (default: one per physical core).")
    var threads: Int?

    @Option(help: "The number of measurements of each model.")
    var `repeat` = 1

    @OptionGroup var form: ResultForm

    private struct Row {
        let model: String
        let bytes: Int
        let parameters: Int
        var seconds, processor: Double
        let measure: (name: String, value: Double)
    }

    func validate() throws {
        if models.isEmpty { throw ValidationError("Name the models to compare.") }
        guard (1...100).contains(`repeat`) else {
            throw ValidationError("--repeat is \(`repeat`), but must be between 1 and 100.")
        }
    }

    func run() throws {
        var rows: [Row] = []
        for model in models {
            var row = try row(model)
            for _ in 1..<`repeat` {
                let again = try self.row(model)
                (row.seconds, row.processor) = (min(row.seconds, again.seconds), min(row.processor, again.processor))
            }
            rows.append(row)
        }
        if form.isJSON { form.write(each: objects(rows)) } else { Output.write(table(rows)) }
    }

    private func row(_ model: String) throws -> Row {
        var words = ["--task", task.rawValue, "-m", model] + file.words
        if let threads { words += ["--threads", "\(threads)"] }
        let evaluation = try EvaluateCommand.parse(words)
        let (file, tokenizer, device) = try evaluation.load()
        let (began, used) = (ContinuousClock.now, CompareCommand.processorSeconds)
        let values = try evaluation.measure(.init { (file, tokenizer, device) })
        let seconds = (ContinuousClock.now - began).seconds
        guard let first = values.first, let value = first.value.doubleValue else {
            throw ModelError("\(task.rawValue) measures nothing of \(model)")
        }
        let inventory = try file.inventory()
        return Row(
            model: model, bytes: CompareCommand.bytes(of: file),
            parameters: inventory.entries.reduce(0) { $0 + $1.shape.elements }, seconds: max(seconds, 1e-9),
            processor: max(CompareCommand.processorSeconds - used, 1e-9), measure: (first.name, value))
    }

    /// The processor seconds that this process has used so far, of all processors.
    private static var processorSeconds: Double {
        var usage = rusage()
        unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// The bytes of the weights as they lie on the disk.
    private static func bytes(of file: ModelFile) -> Int {
        switch file.container {
        case .gguf(let gguf): return Folder.size(of: gguf.path) ?? 0
        case .directory(let path):
            let own = Folder.names(in: path).map { "\(path)/\($0)" }
            let inner = own.filter { !Folder.isFile($0) }.flatMap { name in
                Folder.names(in: name).map { "\(name)/\($0)" }
            }
            let files = (own + inner).filter { $0.hasSuffix(".safetensors") || $0.hasSuffix(".bin") }
            return files.reduce(0) { $0 + (Folder.size(of: $1) ?? 0) }
        }
    }

    private func objects(_ rows: [Row]) -> [JSON] {
        rows.map { row in
            [
                "model": .string(row.model), "bytes": .integer(row.bytes), "parameters": .integer(row.parameters),
                "seconds": .number(row.seconds), "processor_seconds": .number(row.processor),
                "measure": .string(row.measure.name), "value": .number(row.measure.value),
            ]
        }
    }

    private func table(_ rows: [Row]) -> String {
        guard let first = rows.first else { return "" }
        func short(_ value: Double, _ scale: Double) -> String { "\((value * scale).rounded() / scale)" }
        var lines = [
            ["model", "MB", "parameters", "seconds", "of processors", "speed", first.measure.name, "of the first"]
        ]
        for row in rows {
            lines.append([
                row.model, short(Double(row.bytes) / 1e6, 10), "\(row.parameters)", short(row.seconds, 100),
                short(row.processor, 100), short(first.processor / row.processor, 100) + "x",
                short(row.measure.value, 1e4),
                short(100 * row.measure.value / first.measure.value, 10) + " %",
            ])
        }
        let widths = lines[0].indices.map { column in lines.reduce(0) { max($0, $1[column].utf8.count) } }
        return lines.map { line in
            zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.utf8.count) }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}
