import Martlet
import MartletGeneration
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Several adapters over one loaded model, selected by name: each writes what a model with it alone writes.
@Suite struct SelectedAdapterTests {
    private static let path = Fixtures.folder + "/gguf/llama-f16.gguf"

    /// Writes an adapter on all linear layers, drawn at random.
    static func write(_ seed: UInt64, in directory: String) throws {
        let file = try ModelFile(path: path)
        let targets = try AdapterTargets(file.architecture, file.family)
        var configuration = AdapterConfiguration()
        (configuration.rank, configuration.targets) = (3, targets.modules.map(\.path))
        let layout = try targets.layout(configuration)
        var factors: [String: Tensor] = [:]
        for (index, target) in layout.targets.enumerated() {
            let shapes: [(name: String, shape: Shape)] = [
                (target.down, [target.rank, target.inputs]), (target.up, [target.outputs, target.rank]),
            ]
            for (number, factor) in shapes.enumerated() {
                let draws = Random(seed: seed, stream: UInt64(2 * index + number))
                    .normals(factor.shape.elements, deviation: 0.2)
                factors[factor.name] = Tensor(draws, shape: factor.shape)
            }
        }
        try AdapterFile.write(configuration, layout, factors: factors, saved: [], in: directory)
    }

    private func text(_ model: LanguageModel, _ adapter: String? = nil) async throws -> [Int32] {
        var options = GenerationOptions(
            maximumTokens: 12, sampling: Sampling(temperature: 1, topK: 20, seed: 3), endOfText: .ignored)
        options.adapter = adapter
        var tokens: [Int32] = []
        for try await piece in try model.generate("one two", options) { tokens += piece.tokens }
        return tokens
    }

    @Test func adaptersShareOneModel() async throws {
        try await TemporaryFolder.use { first in
            try await TemporaryFolder.use { second in
                try Self.write(1, in: first)
                try Self.write(2, in: second)
                let model = try await LanguageModel.load(
                    path: Self.path, adapters: ["b": second, "a": first], threads: 2)
                #expect(model.adapters == ["a", "b"])
                let texts = try await withThrowingTaskGroup(of: (String?, [Int32]).self) { group in
                    for name in [nil, "a", "b"] as [String?] {
                        group.addTask { (name, try await self.text(model, name)) }
                    }
                    return try await group.reduce(into: [String?: [Int32]]()) { $0[$1.0] = $1.1 }
                }
                for (name, directory) in [(nil, nil), ("a", first), ("b", second)] as [(String?, String?)] {
                    let alone = try await LanguageModel.load(path: Self.path, threads: 2) {
                        var file = try ModelFile(path: Self.path)
                        if let directory { try file.add(adapter: directory) }
                        return file
                    }
                    #expect(texts[name] == (try await text(alone)))
                }
                #expect(Set(texts.values).count == 3)
                var options = GenerationOptions()
                options.adapter = "c"
                let error = #expect(throws: GenerationError.self) { try model.generate("one", options) }
                #expect(error?.description.contains("a, b") == true)
            }
        }
    }

    /// A draft model changes nothing, and one with another vocabulary is refused with both sizes.
    @Test func draftsChangeNothing() async throws {
        let plain = try await LanguageModel.load(path: Self.path, threads: 1)
        let drafted = try await LanguageModel.load(path: Self.path, draft: Self.path, threads: 1)
        let options = GenerationOptions(
            maximumTokens: 20, sampling: Sampling(temperature: 1, seed: 8), endOfText: .ignored)
        var (tokens, summary): ([Int32], GenerationSummary?) = ([], nil)
        for try await piece in try drafted.generate("one two", options) {
            tokens += piece.tokens
            summary = piece.summary ?? summary
        }
        var expected: [Int32] = []
        for try await piece in try plain.generate("one two", options) { expected += piece.tokens }
        #expect(tokens == expected)
        #expect(summary.map { $0.guessedTokens > 0 && $0.acceptedTokens == $0.guessedTokens } == true)
        let other = Fixtures.folder + "/families/llama"
        let error = await #expect(throws: LoadError.self) {
            try await LanguageModel.load(path: Self.path, draft: other, threads: 1)
        }
        let sizes = [plain.architecture.vocabulary, try ModelFile(path: other).architecture.vocabulary]
        #expect(sizes.allSatisfy { error?.description.contains("\($0)") == true })
    }
}
