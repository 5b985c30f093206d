import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import TestSupport
import Testing

/// Layers, neurons and groups of heads that are left out.
@Suite struct PruningTests {
    private let folder = FolderForTests()
    private static let origin = Fixtures.folder + "/families/llama"
    private let device = Device(threads: 2)

    /// The fixture with nothing coming out of every second neuron and of the first half of the heads.
    private func writeModelWithIdleParts() throws -> String {
        let file = try ModelFile(path: Self.origin)
        let checkpoint = try file.checkpoint()
        var values: [String: Tensor] = [:]
        for entry in try file.inventory().entries {
            let tensor = try #require(try checkpoint.tensor(entry.name, shape: entry.shape, on: device))
            let width = entry.shape.width
            guard entry.role == .down || entry.role == .output else {
                values[entry.name] = tensor
                continue
            }
            let numbers = tensor.decoded(on: device).values.enumerated().map { index, value in
                let column = index % width
                return (entry.role == .down ? column % 2 == 0 : column < width / 2) ? 0 : value
            }
            values[entry.name] = Tensor(numbers, shape: entry.shape)
        }
        let path = folder.path + "/idle"
        try Folder.make(path)
        let source = WeightSource(try file.inventory(), values: values)
        try ModelExport(modelType: file.modelType, file.architecture, source, on: device).writeSafetensors(in: path)
        try writeFile(Storage(mapping: Self.origin + "/config.json").contents, to: path + "/config.json")
        return path
    }

    private func logits(_ path: String) throws -> [Float] {
        let results = try ForwardPass.run(ModelFile(path: path), [[5, 11, 2, 7, 23]], recording: .nothing, on: device)
        return try #require(results.first { $0.name == "logits.0" }).tensor.values
    }

    /// The heads and elements that do nothing go first, by magnitudes and by a text, and nothing else changes.
    @Test(arguments: [false, true]) func idlePartsGo(_ withText: Bool) throws {
        let idle = try writeModelWithIdleParts()
        let texts: [[Int32]] = withText ? [[1, 2, 3, 4, 5, 6], [9, 8, 7]] : []
        var request = ModelPruning.Request()
        (request.neurons, request.groups) = (0.5, 0.5)
        let target = folder.path + "/pruned"
        let (parameters, origin) = try ModelPruning(idle, texts: texts, on: device).write(request, to: target)
        #expect(parameters < origin)
        let (whole, pruned) = (try ModelFile(path: idle), try ModelFile(path: target))
        func form(_ file: ModelFile) throws -> (heads: Int, neurons: Int) {
            let config = try file.config()
            return (
                config["num_attention_heads"]?.integerValue ?? 0, config["intermediate_size"]?.integerValue ?? 0
            )
        }
        #expect(try form(pruned).heads * 2 == form(whole).heads)
        #expect(try form(pruned).neurons * 2 == form(whole).neurons)
        let comparison = Comparison(try logits(target), try logits(idle), absolute: 1e-5)
        #expect(comparison.withinTolerance, "\(comparison)")
    }

    /// The layers that stay, by number or by a text; what config.json cannot say is refused.
    @Test func layersGo() throws {
        var request = ModelPruning.Request()
        request.layers = 1
        #expect(throws: RunError.self) {
            try ModelPruning(Self.origin, texts: [], on: device).write(request, to: folder.path + "/none")
        }
        let target = folder.path + "/fewer"
        _ = try ModelPruning(Self.origin, texts: [[3, 1, 4, 1, 5]], on: device).write(request, to: target)
        let count = try ModelFile(path: Self.origin).config()["num_hidden_layers"]?.integerValue ?? 0
        #expect(try ModelFile(path: target).config()["num_hidden_layers"]?.integerValue == count - 1)
        #expect(try logits(target).allSatisfy(\.isFinite))
        request = ModelPruning.Request()
        request.groups = 0.5
        #expect(throws: RunError.self) {
            let bert = Fixtures.folder + "/families/bert-classification"
            return try ModelPruning(bert, texts: [], on: device).write(request, to: folder.path + "/bert")
        }
        request = ModelPruning.Request()
        request.kept = [0, 99]
        #expect(throws: RunError.self) {
            try ModelPruning(Self.origin, texts: [], on: device).write(request, to: folder.path + "/kept")
        }
    }

    /// Tokens that stay are the same rows under new numbers; words whose token is gone are spelled by pieces.
    @Test func tokensGo() throws {
        let origin = Fixtures.folder + "/tasks/classes"
        let json = try JSON(contentsOf: origin + "/tokenizer.json")
        let whole = try Tokenizer(json: json.serialized())
        let frequencies = try whole.encode("the river walked to london").reduce(into: [Int: Int]()) { $0[Int($1)] = 1 }
        let count = whole.vocabularySize - 12
        let vocabulary = try VocabularyPruning(json, keeping: count, frequencies: frequencies)
        var request = ModelPruning.Request()
        (request.vocabulary, request.context) = (vocabulary, 16)
        let target = folder.path + "/tokens"
        _ = try ModelPruning(origin, texts: [], on: device).write(request, to: target)
        let small = try Tokenizer(json: JSON(contentsOf: target + "/tokenizer.json").serialized())
        #expect(small.vocabularySize == count)
        #expect(try ModelFile(path: target).config()["vocab_size"]?.integerValue == count)
        for text in ["the river walked to london", "an unseen word, 7 times"] {
            #expect(try small.decode(small.encode(text)) == whole.decode(whole.encode(text)))
        }
        let (a, b) = (try whole.encode("the river"), try small.encode("the river"))
        #expect(a.map { whole.token($0) } == b.map { small.token($0) })
        func hidden(_ path: String, _ ids: [Int32]) throws -> [Float] {
            let results = try ForwardPass.run(ModelFile(path: path), [ids], recording: .nothing, on: device)
            return try #require(results.last).tensor.values
        }
        #expect(try hidden(origin, a) == hidden(target, b))
        #expect(try ModelFile(path: target).architecture.context == 16)
        request.context = 1 << 20
        #expect(throws: RunError.self) {
            try ModelPruning(origin, texts: [], on: device).write(request, to: folder.path + "/longer")
        }
        #expect(throws: RunError.self) { try VocabularyPruning(json, keeping: 1 << 20, frequencies: [:]) }
        #expect(throws: RunError.self) { try VocabularyPruning(json, keeping: 8, frequencies: [:]) }
        #expect(throws: RunError.self) {
            try VocabularyPruning(["model": ["type": "BPE"]], keeping: 8, frequencies: [:])
        }
    }
}
