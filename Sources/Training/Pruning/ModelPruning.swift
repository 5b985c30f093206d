import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
package import MartletTensors

/// Smaller models out of larger ones: fewer layers, fewer neurons in feed-forwards, fewer groups of heads, the same
/// number in every layer, and fewer tokens, so that config.json can say it and every reader gets a smaller, faster
/// model.
package struct ModelPruning {
    /// The request for a pruning: what is to go.
    package struct Request: Sendable {
        /// The number of layers of least influence that go; a text must say which.
        package var layers = 0
        /// The layers that stay, in place of a number.
        package var kept: [Int]?
        /// The share of each feed-forward's neurons.
        package var neurons = 0.0
        /// The share of each attention's key-value heads, with their queries.
        package var groups = 0.0
        /// The longest text in tokens, where positions have learned rows; nil: as it was.
        package var context: Int?
        /// The tokens that stay; nil: all.
        package var vocabulary: VocabularyPruning?

        package init() {}
    }

    private let file: ModelFile
    private let directory: String
    private let config: JSONObject
    /// The architecture as config.json describes it: without a head of sentence-transformers' modules, which is copied.
    private let described: Architecture
    /// The part of config.json's head that the file holds: none in the body of a sentence encoder.
    private let head: Architecture.Head
    private let stack: Architecture.Stack
    private let checkpoint: Checkpoint
    private let scores: PruningScores
    private let device: Device

    /// - Parameters:
    ///   - directory: a Hugging Face directory.
    ///   - texts: a calibration text's tokens; none: magnitudes decide.
    /// - Throws: ``RunError`` for a model that is no single stack in a directory; what reading throws.
    package init(_ directory: String, texts: [[Int32]], on device: Device) throws {
        let file = try ModelFile(path: directory)
        guard case .directory(let path) = file.container, file.adapters.isEmpty else {
            throw RunError("\(directory): only Hugging Face directories of whole models are pruned; convert it first")
        }
        config = try ModelFile.config(in: path)
        described = try ModelFile.describe(config, path: path).architecture
        switch described.body {
        case .decoder(let stack), .encoder(let stack): self.stack = stack
        case .encoderDecoder: throw RunError("\(directory): models of two stacks are not pruned")
        }
        guard stack.layers.allSatisfy({ $0.sharesParametersOf == nil }) else {
            throw RunError("\(directory): its layers share their parameters; there is nothing to leave out")
        }
        let (held, missing) = try file.checkpoint(under: described)
        checkpoint = held
        head = missing.isEmpty ? described.head : .none
        scores =
            try texts.isEmpty ? PruningScores() : PruningScores(file, texts, layers: stack.layers.count, on: device)
        (self.file, self.directory, self.device) = (file, path, device)
    }

    /// Writes the smaller model.
    ///
    /// - Returns: its number of parameters and that of the origin.
    /// - Throws: ``RunError`` for what the model's config.json cannot say; what writing throws.
    package func write(_ request: Request, to output: String) throws -> (parameters: Int, origin: Int) {
        let kept = try layers(request)
        let picks = try kept.map { try parts(layer: $0, request) }
        var (config, pruned) = try description(kept, picks, request)
        (pruned.head, config["torch_dtype"]) = (head, nil)
        let inventory = try pruned.inventory()
        var values: [String: Tensor] = [:]
        for entry in inventory.entries { values[entry.name] = try value(entry, kept, picks, request.vocabulary) }
        let written = try AtomicFolder(output)
        let folder = written.aside
        let source = WeightSource(inventory, values: values)
        try ModelExport(modelType: file.modelType, pruned, source, on: device).writeSafetensors(in: folder)
        try writeFile(JSON.object(config).serialized(.pretty(indent: 2)), to: folder + "/config.json")
        try copyFiles(to: folder)
        if let vocabulary = request.vocabulary { try write(vocabulary, to: folder) }
        try written.commit()
        func count(_ inventory: Inventory) -> Int { inventory.entries.reduce(0) { $0 + $1.shape.elements } }
        var origin = described
        origin.head = head
        return (count(inventory), count(try origin.inventory()))
    }

    // MARK: - What stays

    /// The parts of a layer that stay, by number, ascending; nil: all.
    private struct Picks {
        var neurons: [Int]?
        var groups: [Int]?
    }

    private func layers(_ request: Request) throws(RunError) -> [Int] {
        let count = stack.layers.count
        if let kept = request.kept {
            guard let wrong = kept.first(where: { !(0..<count).contains($0) }) else { return kept }
            throw RunError("layer \(wrong) is to stay, but the model has \(count)")
        }
        guard request.layers > 0 else { return Array(0..<count) }
        guard request.layers < count else { throw RunError("\(request.layers) layers are to go, of \(count)") }
        guard scores.influence.count == count else {
            throw RunError("which layers matter least is told by a text; give one, or name the layers that stay")
        }
        let order = (1..<count).sorted { scores.influence[$0] < scores.influence[$1] }
        let gone = Set(order.prefix(request.layers))
        return (0..<count).filter { !gone.contains($0) }
    }

    private func tensor(_ layer: Int, _ part: String) throws -> Tensor? {
        let place = if case .decoder = described.body { "decoder" } else { "encoder" }
        let name = "\(place).\(layer).\(part)"
        guard let entry = try described.inventory().entries.first(where: { $0.name.hasSameBytes(as: name) }) else {
            return nil
        }
        return try checkpoint.tensor(name, shape: entry.shape, on: device)?.decoded(on: device)
    }

    private func name(_ layer: Int, _ part: String) -> String {
        if case .decoder = described.body { "decoder.\(layer).\(part)" } else { "encoder.\(layer).\(part)" }
    }

    private func parts(layer: Int, _ request: Request) throws -> Picks {
        var picks = Picks()
        if request.neurons > 0 {
            guard let down = try tensor(layer, "feedForward.down.weight") else {
                throw RunError("neurons of experts are not pruned")
            }
            let makers = try ["up", "gate"].compactMap { try tensor(layer, "feedForward.\($0).weight") }
            let scores = scores.ofInputs(name(layer, "feedForward.down.weight"), down, makers: makers)
            picks.neurons = ModelPruning.best(scores, leaving: request.neurons, multiple: 64)
        }
        if request.groups > 0, let output = try tensor(layer, "attention.output.weight") {
            let form = stack.layers[layer].attention
            let scores = scores.ofInputs(name(layer, "attention.output.weight"), output, makers: [])
            let width = form.queryWidth / form.keyHeads
            let sums = (0..<form.keyHeads).map { scores[$0 * width..<($0 + 1) * width].reduce(0, +) }
            picks.groups = ModelPruning.best(sums, leaving: request.groups, multiple: 1)
        }
        return picks
    }

    /// The numbers of the largest scores, ascending, so many that `share` goes; a multiple where there are more than
    /// two of it.
    private static func best(_ scores: [Double], leaving share: Double, multiple: Int) -> [Int] {
        var count = max(1, Int((Double(scores.count) * (1 - share)).rounded()))
        if count > 2 * multiple { count = min(scores.count, (count + multiple - 1) / multiple * multiple) }
        return scores.indices.sorted { scores[$0] > scores[$1] }.prefix(count).sorted()
    }

    // MARK: - The smaller model

    private static let contextKeys = ["max_position_embeddings", "n_positions", "n_ctx"]
    private static let neuronKeys = ["intermediate_size", "n_inner", "ffn_dim", "hidden_dim"]

    /// The configuration and what it describes, which must be what is meant.
    private func description(
        _ kept: [Int], _ picks: [Picks], _ request: Request
    ) throws -> (JSONObject, Architecture) {
        var config = try self.config.keeping(layers: kept.count == stack.layers.count ? nil : kept)
        var wanted = stack
        wanted.layers = zip(kept, picks).map { resized(stack.layers[$0], $1) }
        if let neurons = picks.first?.neurons {
            for key in ModelPruning.neuronKeys where config[key]?.integerValue != nil {
                config[key] = .integer(neurons.count)
            }
        }
        if let groups = picks.first?.groups, let form = stack.layers.first?.attention {
            config["head_dim"] = .integer(form.headWidth)
            config["num_key_value_heads"] = .integer(groups.count)
            config["num_attention_heads"] = .integer(groups.count * form.queryHeads / form.keyHeads)
        }
        var pruned = described
        try shorten(request, &config, &wanted, &pruned)
        if case .decoder = described.body { pruned.body = .decoder(wanted) } else { pruned.body = .encoder(wanted) }
        guard try ModelFile.describe(config, path: "the pruned model").architecture == pruned else {
            throw RunError(
                "\(file.modelType): its config.json cannot say such a model; leave layers or neurons out, not heads")
        }
        return (config, pruned)
    }

    /// Fewer positions and tokens.
    private func shorten(
        _ request: Request, _ config: inout JSONObject, _ wanted: inout Architecture.Stack,
        _ pruned: inout Architecture
    ) throws(RunError) {
        if let context = request.context {
            guard case .learned(let rows, offset: 0) = stack.positions, context < rows else {
                throw RunError("\(directory): it has no learned positions beyond \(context)")
            }
            (wanted.positions, pruned.context) = (.learned(context), context)
            for key in ModelPruning.contextKeys where config[key] != nil { config[key] = .integer(context) }
        }
        if let vocabulary = request.vocabulary {
            pruned.vocabulary = vocabulary.kept.count
            config["vocab_size"] = .integer(vocabulary.kept.count)
            for (key, id) in config.members where key.hasSuffix("_token_id") {
                if let number = id.integerValue.flatMap(vocabulary.number) { config[key] = .integer(number) }
            }
        }
    }

    private func resized(_ layer: Architecture.Layer, _ picks: Picks) -> Architecture.Layer {
        var layer = layer
        if let neurons = picks.neurons {
            switch layer.feedForward {
            case .plain(_, let activation, let bias):
                layer.feedForward = .plain(hidden: neurons.count, activation, bias: bias)
            case .gated(_, let activation, let bias):
                layer.feedForward = .gated(hidden: neurons.count, activation, bias: bias)
            case .expandedIntegral: layer.feedForward = .expandedIntegral(hidden: neurons.count)
            case .experts: break
            }
        }
        if let groups = picks.groups {
            layer.attention.queryHeads = groups.count * layer.attention.queryHeads / layer.attention.keyHeads
            layer.attention.keyHeads = groups.count
        }
        return layer
    }

    /// A parameter of the smaller model, cut out of the one it comes from.
    private func value(
        _ entry: Inventory.Entry, _ kept: [Int], _ picks: [Picks], _ vocabulary: VocabularyPruning?
    ) throws -> Tensor {
        var (name, picked) = (entry.name, Picks())
        if let place = entry.place, let layer = place.layer {
            name = self.name(kept[layer], String(name.dropFirst(self.name(layer, "").count)))
            picked = picks[layer]
        }
        guard let origin = try described.inventory().entries.first(where: { $0.name.hasSameBytes(as: name) }),
            let whole = try checkpoint.tensor(name, shape: origin.shape, on: device)
        else { throw RunError("\(directory) has no \(name)") }
        guard let form = stack.layers.first?.attention, origin.shape != entry.shape else { return whole }
        let perGroup = form.queryHeads / form.keyHeads * form.headWidth
        func spread(_ groups: [Int]?, _ width: Int) -> [Int]? {
            groups?.flatMap { Array($0 * width..<($0 + 1) * width) }
        }
        let tensor = whole.decoded(on: device)
        let cut: Tensor? =
            switch entry.role {
            case .tokens, .head: vocabulary.map { tensor.keeping(rows: $0.kept) }
            case .positions: tensor.keeping(rows: Array(0..<entry.shape[0]))
            case .up, .gate: picked.neurons.map { tensor.keeping(rows: $0) }
            case .down: picked.neurons.map { tensor.keeping(columns: $0) }
            case .query: spread(picked.groups, perGroup).map { tensor.keeping(rows: $0) }
            case .key, .value: spread(picked.groups, form.headWidth).map { tensor.keeping(rows: $0) }
            case .output: spread(picked.groups, perGroup).map { tensor.keeping(columns: $0) }
            default: nil
            }
        guard let cut, cut.shape == entry.shape else {
            throw RunError("\(name) of \(origin.shape) cannot become \(entry.shape)")
        }
        return cut
    }

    private func write(_ vocabulary: VocabularyPruning, to folder: String) throws(FileError) {
        try writeFile(vocabulary.tokenizer.serialized(), to: folder + "/tokenizer.json")
        let lines = vocabulary.spellings.map { $0 + "\n" }.joined()
        if fileExists(folder + "/vocab.txt") { try writeFile(Array(lines.utf8), to: folder + "/vocab.txt") }
    }

    /// Tokenizer, templates and modules of sentence-transformers, as they are.
    private func copyFiles(to folder: String) throws {
        func copy(_ name: String) throws {
            try writeFile(fileBytes("\(directory)/\(name)"), to: "\(folder)/\(name)")
        }
        let endings = [".json", ".txt", ".jinja", ".model"]
        for name in Folder.names(in: directory) where !name.hasSuffix(".index.json") && name != "config.json" {
            if Folder.isFile("\(directory)/\(name)") {
                if endings.contains(where: { name.hasSuffix($0) }) { try copy(name) }
            } else if fileExists("\(directory)/\(name)/config.json") {
                try Folder.make("\(folder)/\(name)")
                for part in ["config.json", "model.safetensors"] where fileExists("\(directory)/\(name)/\(part)") {
                    try copy("\(name)/\(part)")
                }
            }
        }
    }
}

extension Tensor {
    /// The matrix with those rows alone, or the vector with those elements.
    fileprivate func keeping(rows: [Int]) -> Tensor {
        let (values, width) = (values, shape.rank == 1 ? 1 : shape.width)
        let kept = rows.flatMap { values[$0 * width..<($0 + 1) * width] }
        return Tensor(kept, shape: shape.rank == 1 ? [rows.count] : [rows.count, width])
    }

    /// The matrix with those columns alone.
    fileprivate func keeping(columns: [Int]) -> Tensor {
        let (values, width) = (values, shape.width)
        let kept = (0..<shape.rows).flatMap { row in columns.map { values[row * width + $0] } }
        return Tensor(kept, shape: [shape.rows, columns.count])
    }
}
