import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// GGUF files that rank texts or make vectors of them, as llama.cpp's converter writes them.
@Suite struct GGUFReaderTests {
    static let folder = Fixtures.folder + "/gguf"
    private let device = Device(threads: 1)

    /// A tokenizer of words, which are numbers.
    private func words() throws -> Tokenizer {
        var vocabulary = JSONObject()
        for id in 0..<64 { vocabulary[id == 0 ? "?" : "w\(id)"] = .integer(id) }
        for (id, word) in [(1, "judge"), (2, "by"), (3, "{other}")] {
            vocabulary["w\(id)"] = nil
            vocabulary[word] = .integer(id)
        }
        let root: JSON = [
            "added_tokens": [], "normalizer": .null, "post_processor": .null, "decoder": .null,
            "pre_tokenizer": ["type": "WhitespaceSplit"],
            "model": ["type": "WordLevel", "unk_token": "?", "vocab": .object(vocabulary)],
        ]
        return try Tokenizer(json: root)
    }

    private func numbers(_ name: String, of file: ModelFile, _ tokens: [Int32]) throws -> [Float] {
        let results = try ForwardPass.run(file, [.init(tokens)], recording: .nothing, on: device)
        return try #require(results.first { $0.name == name }).tensor.values
    }

    /// A decoder is asked by the file's template, and its score is the share of its first answer.
    @Test func aDecoderRanksByItsTemplate() throws {
        let file = try ModelFile(path: Self.folder + "/qwen3-reranker-f32.gguf")
        let reranker = try Reranker(file, words(), on: device)
        let scores = try reranker.scores([("w20 w21", "w30"), ("w40", "w41 {query}")])
        for (score, ids) in zip(scores, [[1, 20, 21, 2, 30, 3], [1, 40, 2, 41, 0, 3]] as [[Int32]]) {
            let logits = try numbers("logits.0", of: file, ids)
            #expect(abs(score - Float(1 / (1 + exp(Double(logits[1] - logits[0]))))) < 1e-6)
        }
    }

    /// Of a question that is too long, the document's end is cut: the template's own end asks for the answer.
    @Test func aLongDocumentLeavesTheTemplateWhole() throws {
        let file = try ModelFile(path: Self.folder + "/qwen3-reranker-f32.gguf")
        let context = try #require(file.architecture.context)
        func document(_ count: Int) -> String { (0..<count).map { "w\(20 + $0 % 40)" }.joined(separator: " ") }
        let reranker = try Reranker(file, words(), on: device)
        // Beside the document stand three words of the template and one of the query.
        let scores = try reranker.scores([0, 1, 36].map { ("w9", document(context - 4 + $0)) })
        #expect(scores[0] == scores[1] && scores[0] == scores[2])
        #expect(throws: TaskError.self) { try reranker.scores([(document(context), "w9")]) }
    }

    /// EmbeddingGemma's vectors: the mean of all rows, two matrices, length 1.
    @Test func vectorsGoThroughTheFilesMatrices() throws {
        let file = try ModelFile(path: Self.folder + "/gemma-embedding-f32.gguf")
        let vector = try Embedder(file, words(), on: device).embed(["w5 w9 w11"])[0]
        let hidden = try numbers("hidden.0", of: file, [5, 9, 11])
        var expected = (0..<24).map { i in (0..<3).reduce(0.0) { $0 + Double(hidden[$1 * 24 + i]) / 3 } }
        for name in ["dense_2.weight", "dense_3.weight"] {
            let matrix = try GGUF(contentsOf: file.path).tensors.tensor(name)
            expected = (0..<matrix.shape[0]).map { row in
                expected.indices.reduce(0.0) { $0 + Double(matrix.values[row * expected.count + $1]) * expected[$1] }
            }
        }
        let length = expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(Comparison(vector, expected.map { Float($0 / length) }, absolute: 1e-5).withinTolerance)
    }
}
