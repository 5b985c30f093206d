import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletTensors
import MartletTokenizers
import MartletTraining

/// `martlet prune`: a smaller, faster model of parts of a larger one.
struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove layers, neurons, heads and tokens from a model.",
        discussion: """
            Example: martlet prune -m runs/banking77 --neurons 0.5 --data train.txt -o pruned
                     martlet train recipe.yaml --set model.from=pruned --set teacher.from=runs/banking77/model

            Every layer keeps as many neurons and heads as the others, so that the result is a model directory like \
            any other, smaller and faster. Calibration texts (--data) decide what matters least: layers by how little \
            they change their hidden states, neurons and heads by weights times inputs (Wanda); without texts, the \
            weights alone decide. A short training recovers most of what is lost, best with the whole model as its \
            teacher. --vocabulary keeps the most frequent tokens of the texts.
            """)

    @OptionGroup var model: ModelOptions

    @Option(name: [.customShort("o"), .long], help: "The directory to write.")
    var output: String

    @Option(help: "Remove this many layers of least influence (needs --data).")
    var layers = 0

    @Option(help: "Keep these layers, as 0,1,5.")
    var keep: String?

    @Option(help: "The share of each feed-forward network's neurons to remove.")
    var neurons = 0.0

    @Option(help: "The share of each attention's key-value heads to remove, with their queries.")
    var groups = 0.0

    @Option(help: "Keep this many tokens of a WordPiece vocabulary: those most frequent in all lines of --data.")
    var vocabulary: Int?

    @Option(help: "Keep this many positions, where they are learned: the maximum length of a text in tokens.")
    var context: Int?

    @Option(help: "A file of calibration texts, one per line.")
    var data: String?

    @Option(help: "The number of calibration lines, from the first on.")
    var lines = 64

    @OptionGroup var outputs: OutputOptions

    func validate() throws {
        for (name, share) in [("neurons", neurons), ("groups", groups)] where !(0..<1).contains(share) {
            throw ValidationError("--\(name) is \(share), but must be between 0 and below 1.")
        }
        if !(0...10_000).contains(layers) || !(1...1_000_000).contains(lines) {
            throw ValidationError("--layers and --lines count layers and lines.")
        }
        if let keep {
            let kept = try PruneCommand.layers(keep)
            if kept.isEmpty || zip(kept, kept.dropFirst()).contains(where: { $0 >= $1 }) {
                throw ValidationError("--keep \(keep): name each layer that stays once, in the order of the model.")
            }
            if layers != 0 { throw ValidationError("--keep and --layers say the same thing: give one of them.") }
        }
        if layers == 0 && keep == nil && neurons == 0 && groups == 0 && vocabulary == nil && context == nil {
            throw ValidationError(
                "Say what is to go: --layers, --keep, --neurons, --groups, --vocabulary or --context.")
        }
        if let context, !(1...1 << 24).contains(context) { throw ValidationError("--context counts tokens.") }
        if let vocabulary, !(1...1 << 24).contains(vocabulary) || data == nil {
            throw ValidationError("--vocabulary counts tokens, and needs --data to count them in.")
        }
    }

    func run() throws {
        let path = try model.path()
        try outputs.check(output, inputs: model.inputs() + [data])
        let device = Device(threads: model.threads)
        var request = ModelPruning.Request()
        (request.layers, request.neurons, request.groups) = (layers, neurons, groups)
        request.context = context
        if let keep { request.kept = try PruneCommand.layers(keep) }
        if let vocabulary { request.vocabulary = try self.vocabulary(path, keeping: vocabulary) }
        let pruning = try ModelPruning(path, texts: texts(path), on: device)
        let (parameters, origin) = try pruning.write(request, to: output)
        let share = (1000 * Double(parameters) / Double(origin)).rounded() / 10
        Output.note("\(output): \(parameters) parameters, \(share) % of \(origin)")
    }

    /// The tokens that stay, counted in the whole text.
    private func vocabulary(_ path: String, keeping count: Int) throws -> VocabularyPruning {
        let tokenizer = try ModelText.tokenizer(of: ModelFile(path: path))
        var frequencies: [Int: Int] = [:]
        for line in try Input.bytes(data ?? "").split(separator: 10) {
            for id in try tokenizer.encode(String(decoding: line, as: UTF8.self)) {
                frequencies[Int(id), default: 0] += 1
            }
        }
        let json = try SlowTokenizer.jsonOrFile(in: path) ?? JSON(contentsOf: path + "/tokenizer.json")
        return try VocabularyPruning(json, keeping: count, frequencies: frequencies)
    }

    private static func layers(_ text: String) throws -> [Int] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let layer = Int(word) else { throw ValidationError("--keep: \"\(word)\" is no layer.") }
            return layer
        }
    }

    /// The calibration text in tokens, each line as the model reads a text.
    private func texts(_ path: String) throws -> [[Int32]] {
        guard let data else { return [] }
        let file = try ModelFile(path: path)
        let tokenizer = try ModelText.tokenizer(of: file)
        let limit = min(512, file.architecture.context ?? 512)
        let all = try Input.bytes(data).split(separator: 10).prefix(lines)
        guard !all.isEmpty else { throw InputError("\(data): there is no line of text") }
        return try all.map { Array(try tokenizer.encode(String(decoding: $0, as: UTF8.self)).prefix(limit)) }
    }
}
