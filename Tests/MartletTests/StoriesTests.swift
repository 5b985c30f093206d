import Martlet
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
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
        for try await piece in try loaded.generate("", GenerationOptions(maximumTokens: 200)) { tokens += piece.tokens }
        #expect(tokens == wanted)
        #expect(try loaded.tokens(of: "Once upon a time") == integers("prompt_ids"))
    }

    /// A text goes on with the blank that its next word brings; an answer to a prompt of nothing begins without one.
    @Test func whatIsContinuedKeepsItsBlank() async throws {
        let loaded = try await LanguageModel.load(path: model)
        let options = GenerationOptions(maximumTokens: 3)
        #expect(try await loaded.generate("Once", options).text() == " upon a time")
        #expect(try await loaded.search("Once", .init(beams: 2, maximumTokens: 3)).first?.text == " upon a time")
        let whole = try await loaded.generate("", GenerationOptions(maximumTokens: 4)).text()
        #expect(whole.hasPrefix("Once"))
    }

    /// The model as a GGUF of each type, written here.
    @Test(arguments: [ElementType.f32, .f16, .q8_0]) func isTheSameFromGGUF(type: ElementType) async throws {
        let path = Fixtures.temporaryFile("stories.gguf")
        defer { unsafe unlink(path) }
        let device = Device()
        let export = try ModelExport(ModelFile(path: model), on: device)
        let text = try TokenizerConversion.metadata(ofDirectory: model, vocabulary: export.architecture.vocabulary)
        try export.writeGGUF(to: path, name: "stories", text: text, type: type)
        let loaded = try await LanguageModel.load(path: path)
        #expect(try loaded.tokens(of: "Once upon a time") == integers("prompt_ids"))
        if type == .q8_0 {
            // Eight bits of weights and activations: the logits move by about 1 %, and the story may take another turn.
            let logits = try Self.lastLogits(path, integers("prompt_ids"))
            let wanted = (goldens["prompt_last_logits"]?.arrayValue ?? []).compactMap { $0.doubleValue }
            let difference = zip(logits, wanted).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
            #expect((difference / wanted.reduce(0) { $0 + $1 * $1 }).squareRoot() < 0.02)
        } else {
            var tokens = try loaded.tokens(of: "")
            for try await piece in try loaded.generate("", GenerationOptions(maximumTokens: 200)) {
                tokens += piece.tokens
            }
            #expect(tokens == integers("greedy_ids"))
        }
    }

    static func lastLogits(_ path: String, _ tokens: [Int32]) throws -> [Float] {
        let results = try ForwardPass.run(ModelFile(path: path), [tokens], recording: .nothing, on: Device())
        let logits = try #require(results.first { $0.name == "logits.0" }).tensor
        return logits.rows(tokens.count - 1..<tokens.count).values
    }

    @Test func logitsAreTheReferences() throws {
        let wanted = (goldens["prompt_last_logits"]?.arrayValue ?? []).compactMap { $0.doubleValue.map { Float($0) } }
        let comparison = Comparison(
            try Self.lastLogits(model, integers("prompt_ids")), wanted, absolute: 1e-4)
        #expect(comparison.withinTolerance, "\(comparison)")
    }
}
