import Martlet
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTensors
import MartletTokenizers
import MartletTraining
import TestSupport

/// Whole models of which one file is changed: they are described and, one of some, let do what they are for.
extension FuzzTargets {
    /// Of so many mutations whose files describe a model one is loaded and used.
    private static let sample = 4

    /// Folders with config.json and weights.
    static func models(_ fixtures: String, _ scratch: String, _ device: Device) throws -> [FuzzTarget] {
        let folders = ["families", "tasks"].flatMap { kind in
            Folder.names(in: fixtures + "/" + kind).map { fixtures + "/" + kind + "/" + $0 }
        }.filter { fileExists($0 + "/config.json") }
        let copies = try folders.enumerated().map { try ModelCopy($1, at: scratch + "/model\($0)") }
        return [
            FuzzTarget(name: "model", weight: copies.isEmpty ? 0 : 20) { mutator in
                let copy = copies[mutator.below(copies.count)]
                let name = copy.names[mutator.below(copy.names.count)]
                let bytes = try fileBytes(copy.folder + "/" + name)
                try copy.replacing(name, by: name.hasSuffix(".json") ? mutator.json(bytes) : mutator.bytes(bytes)) {
                    try use($0, device, &mutator)
                }
            }
        ]
    }

    static func ggufs(_ fixtures: String, _ scratch: String, _ device: Device) -> [FuzzTarget] {
        let names = Folder.names(in: fixtures + "/gguf").filter { $0.hasSuffix(".gguf") }
        let sources = names.compactMap { try? fileBytes(fixtures + "/gguf/" + $0) }
        let path = scratch + "/model.gguf"
        return [
            FuzzTarget(name: "gguf", weight: sources.isEmpty ? 0 : 20) { mutator in
                try Parser.write(mutator.bytes(sources[mutator.below(sources.count)]), to: path)
                try use(path, device, &mutator)
            }
        ]
    }

    /// Describes a model; loads it and lets it do what it is for, one of some.
    private static func use(_ path: String, _ device: Device, _ mutator: inout Mutator) throws {
        let file = try ModelFile(path: path)
        let tokenizer = try? ModelText.tokenizer(of: file)
        let messages: JSON = [["role": "user", "content": "a"]]
        _ = try? tokenizer.map { try ChatFormat(file, $0).template.render(messages: messages) }
        guard mutator.below(sample) == 0 else { return }
        if mutator.below(sample) == 0 { try? train(file, device) }
        switch (file.architecture.writes, file.architecture.body, tokenizer) {
        case (true, .decoder, _):
            let options = TokenGenerator.Options(maximumTokens: 3)
            let prompt = (try? tokenizer?.encode("Ada a b")) ?? [1, 2, 3]
            var generator = try TokenGenerator(
                file.decoder(on: device), prompt: Array(prompt.prefix(8)), options, on: device)
            while generator.next() != nil {}
        case (true, _, let tokenizer?):
            var writer = try Writer(file, tokenizer, task: .translation, on: device)
            writer.settings.search.maximumTokens = min(writer.settings.search.maximumTokens, 4)
            writer.settings.search.beams = min(writer.settings.search.beams, 4)
            _ = try writer.write(["Ada a b"])
        case (false, _, let tokenizer?): read(file, tokenizer, device)
        default: break
        }
    }

    /// The tasks of models that read texts; those that the model is not for say so.
    private static func read(_ file: ModelFile, _ tokenizer: Tokenizer, _ device: Device) {
        _ = try? Embedder(file, tokenizer, on: device).embed(Parser.lines.filter { !$0.isEmpty })
        _ = try? Classifier(file, tokenizer, on: device).classify([("Ada a", "b")])
        _ = try? Tagger(file, tokenizer, on: device).tag(["Ada walked to London"], .first)
        _ = try? MaskFiller(file, tokenizer, on: device).fill(["Ada [MASK] <mask> b"], count: 2)
        _ = try? Answerer(file, tokenizer, on: device).answer([("who is Ada", "Ada lived in London.")])
    }

    /// One step of training.
    private static func train(_ file: ModelFile, _ device: Device) throws {
        let source = CheckpointSource(try file.checkpoint(), device: device)
        let learner = try ModelLearner(file.architecture, from: source, ModelLearner.Settings(), on: device) {
            AdamW($0)
        }
        let ids = (1...4).map { Int32($0 % max(1, file.architecture.vocabulary)) }
        let isPair = if case .encoderDecoder = file.architecture.body { true } else { false }
        var batch = Batch()
        batch.append(Example(tokens: ids, decoderTokens: isPair ? ids : nil, targets: ids))
        _ = try learner.accumulate(batch, seed: 0)
        try learner.update(learningRate: 1e-3, scale: 1)
    }
}

/// A folder of links to a model's files, of which one at a time is exchanged.
struct ModelCopy {
    let folder: String
    let names: [String]
    private let path: String

    init(_ folder: String, at path: String) throws {
        (self.folder, self.path) = (folder, path)
        names = Folder.names(in: folder).filter { !$0.hasPrefix("expected") && Folder.isFile(folder + "/" + $0) }
        try Folder.make(path)
        for name in names { try Folder.link(path + "/" + name, to: folder + "/" + name) }
    }

    /// Runs `body` with the folder while one file has other bytes.
    func replacing(_ name: String, by bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let file = path + "/" + name
        unsafe unlink(file)
        defer {
            unsafe unlink(file)
            try? Folder.link(file, to: folder + "/" + name)
        }
        try Parser.write(bytes, to: file)
        try body(path)
    }
}
