import MartletJSON
import MartletModels
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// Layouts that sentence-transformers has published, against its vectors.
@Suite struct SentenceModelsTests {
    static let folder = Fixtures.folder + "/sentences"
    static let layouts = Fixtures.entries(folder).filter { !$0.hasPrefix("cross") }
    static let crossEncoders = Fixtures.entries(folder).filter { $0.hasPrefix("cross") }

    static func load<Model>(
        _ name: String, _ make: (ModelFile, Tokenizer, Device) throws -> Model
    ) throws -> (model: Model, expected: JSON) {
        let path = "\(folder)/\(name)"
        let tokenizer = try Tokenizer(json: Fixtures.bytes(path + "/tokenizer.json"))
        let model = try make(ModelFile(path: path), tokenizer, Device(threads: 1))
        return (model, try JSON(contentsOf: path + "/expected.json"))
    }

    static func floats(_ json: JSON?) -> [Float] {
        (json?.arrayValue ?? []).compactMap(\.doubleValue).map { Float($0) }
    }

    @Test func thereIsEveryLayout() {
        #expect(Self.layouts.count == 24)
        #expect(Self.crossEncoders.count == 3)
    }

    @Test(arguments: layouts) func vectorsAreTheLibrarys(name: String) throws {
        let (embedder, expected) = try Self.load(name) { try Embedder($0, $1, on: $2) }
        let texts = (expected["texts"]?.arrayValue ?? []).compactMap(\.stringValue)
        for (number, item) in (expected["cases"]?.arrayValue ?? []).enumerated() {
            let prompt = item["prompt"]?.stringValue.map { Embedder.Prompt.named($0) } ?? .standard
            let vectors = try embedder.embed(texts, prompt: prompt)
            let wanted = (item["vectors"]?.arrayValue ?? []).map { Self.floats($0) }
            #expect(vectors.count == 3 && wanted.count == 3)
            for (vector, wanted) in zip(vectors, wanted) {
                let comparison = Comparison(vector, wanted, absolute: 1e-5)
                #expect(comparison.withinTolerance, "\(name), \(prompt): \(comparison)")
            }
            guard number == 0 else { continue }
            let similarities = vectors.map { embedder.similarity(vectors[0], $0) }
            #expect(Comparison(similarities, Self.floats(expected["similarity"]), absolute: 1e-4).withinTolerance)
        }
    }

    @Test func promptsThatAreNotThereAreNamed() throws {
        let embedder = try Self.load("prompts") { try Embedder($0, $1, on: $2) }.model
        let error = #expect(throws: TaskError.self) { try embedder.embed(["a"], prompt: .named("passage")) }
        #expect(error?.description.contains("query") == true)
        #expect(
            try embedder.embed(["bob"], prompt: .text("who was ")) == embedder.embed(["bob"], prompt: .named("query")))
    }

    @Test(arguments: crossEncoders) func scoresAreTheLibrarys(name: String) throws {
        let (reranker, expected) = try Self.load(name) { try Reranker($0, $1, on: $2) }
        let texts = (expected["texts"]?.arrayValue ?? []).compactMap(\.stringValue)
        let query = expected["query"]?.stringValue ?? ""
        let scores = try reranker.scores(texts.map { (query, $0) })
        let wanted = Self.floats(expected["scores"])
        #expect(Comparison(scores, wanted, absolute: 1e-5).withinTolerance)
        let ranked = try reranker.rank(texts, for: query)
        #expect(ranked.map(\.index) == wanted.indices.sorted { wanted[$0] > wanted[$1] })
    }
}
