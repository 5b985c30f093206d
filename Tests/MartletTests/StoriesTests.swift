import Martlet
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// A real trained model against the reference's numbers; enabled where the data is at hand.
@Suite(.enabled(if: Fixtures.data != nil, "real models and data are not part of the package"))
struct StoriesTests {
    let model = (Fixtures.data ?? "") + "/weights/stories260K"
    let goldens: JSON

    init() throws { goldens = try JSON(contentsOf: (Fixtures.data ?? "") + "/goldens/stories260K/numerics.json") }

    func integers(_ key: String) -> [Int32] {
        (goldens[key]?.arrayValue ?? []).compactMap { $0.integerValue.map(Int32.init) }
    }

    @Test func writesTheReferencesStory() async throws {
        let loaded = try await LanguageModel.load(path: model)
        let wanted = integers("greedy_ids")
        #expect(wanted.count == 201)
        #expect(try loaded.tokens(of: "") == [1])
        var tokens = try loaded.tokens(of: "")
        for try await piece in loaded.generate("", GenerationOptions(maximumTokens: 200)) { tokens += piece.tokens }
        #expect(tokens == wanted)
        #expect(try loaded.tokens(of: "Once upon a time") == integers("prompt_ids"))
    }

    @Test func logitsAreTheReferences() throws {
        let results = try ForwardPass.run(
            ModelFile(path: model), [integers("prompt_ids")], recording: .nothing, on: Device())
        let logits = try #require(results.first { $0.name == "logits.0" }).tensor
        let wanted = (goldens["prompt_last_logits"]?.arrayValue ?? []).compactMap { $0.doubleValue.map { Float($0) } }
        let comparison = Comparison(logits.rows(4..<5).values, wanted, absolute: 1e-4)
        #expect(comparison.withinTolerance, "\(comparison)")
    }
}
