import Martlet
import MartletGeneration
import MartletTokenizers
import TestSupport
import Testing

/// The library as a user sees it, on a fixture with random weights.
@Suite struct LanguageModelTests {
    static let path = Fixtures.folder + "/gguf/llama-f16.gguf"

    func text(_ model: LanguageModel, _ options: GenerationOptions) async throws -> (String, GenerationSummary?) {
        var text = ""
        var summary: GenerationSummary?
        for try await piece in try model.generate("one two", options) {
            text += piece.text
            summary = piece.summary ?? summary
        }
        return (text, summary)
    }

    @Test func piecesAreTheDecodedTokens() async throws {
        let model = try await LanguageModel.load(path: Self.path, threads: 2)
        var tokens: [Int32] = []
        var text = ""
        for try await piece in try model.generate("one two", GenerationOptions(maximumTokens: 20, endOfText: .ignored))
        {
            tokens += piece.tokens
            text += piece.text
        }
        #expect(tokens.count == 20)
        #expect(text == (try model.tokenizer.decode(tokens)))
    }

    @Test func threadsChangeNothingAndSeedsRepeat() async throws {
        let options = GenerationOptions(
            maximumTokens: 20, sampling: Sampling(temperature: 1, seed: 4), endOfText: .ignored)
        let one = try await text(LanguageModel.load(path: Self.path, threads: 1), options).0
        let model = try await LanguageModel.load(path: Self.path, threads: 2)
        #expect(try await text(model, options).0 == one)
        // Several at once on one model do not disturb each other.
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 { group.addTask { try await self.text(model, options).0 } }
            for try await other in group { #expect(other == one) }
        }
    }

    @Test func stopTextsAndLimitsEndIt() async throws {
        let model = try await LanguageModel.load(path: Self.path)
        let (whole, summary) = try await text(model, GenerationOptions(maximumTokens: 20, endOfText: .ignored))
        #expect(summary?.finish == .length && summary?.generatedTokens == 20)
        let stop = String(String.UnicodeScalarView(whole.unicodeScalars.dropFirst(4).prefix(2)))
        let (cut, stopped) = try await text(
            model, GenerationOptions(maximumTokens: 20, stopTexts: [stop], endOfText: .ignored))
        #expect(stopped?.finish == .stop)
        #expect(whole.hasPrefix(cut) && !cut.contains(stop))
    }

    @Test func endingTheLoopEndsTheGeneration() async throws {
        let model = try await LanguageModel.load(path: Self.path)
        var pieces = 0
        for try await _ in try model.generate("one", GenerationOptions(maximumTokens: 30)) {
            pieces += 1
            if pieces == 3 { break }
        }
        #expect(pieces == 3)
        // The model is free for the next one.
        #expect(try await text(model, GenerationOptions(maximumTokens: 2)).1 != nil)
    }

    /// Searches beside generations and other searches find what one alone finds; what is wrong with one is said at
    /// once.
    @Test func searchesShareTheEngine() async throws {
        let model = try await LanguageModel.load(path: Self.path, threads: 2)
        let options = BeamSearch.Options(beams: 3, results: 3, maximumTokens: 12)
        let alone = try await model.search("one two", options)
        #expect(alone.count == 3 && alone[0].score > alone[1].score)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    let found = try await model.search("one two", options)
                    #expect(found == alone)
                }
                group.addTask { _ = try await self.text(model, GenerationOptions(maximumTokens: 20)) }
            }
            try await group.waitForAll()
        }
        let greedy = try await text(model, GenerationOptions(maximumTokens: 12)).0
        let single = try await model.search("one two", .init(beams: 1, maximumTokens: 12))
        #expect(single.first?.text == greedy)
        let error = await #expect(throws: GenerationError.self) {
            try await model.search("one", .init(beams: 0, maximumTokens: 0))
        }
        #expect(error?.kind == .request && error?.offences.count == 2)
    }

    @Test func whatIsWrongIsThrown() async throws {
        await #expect(throws: LoadError.self) { try await LanguageModel.load(path: Fixtures.folder + "/nothing") }
        let model = try await LanguageModel.load(path: Self.path)
        // By the call, before anything is computed, and all of it at once.
        #expect(throws: GenerationError.self) { try model.generate(tokens: [1, 1_000_000]) }
        let error = #expect(throws: GenerationError.self) {
            try model.generate(
                tokens: [], GenerationOptions(maximumTokens: -1, sampling: Sampling(temperature: -1), cache: .q8_0))
        }
        #expect(error?.kind == .request && (error?.offences.count ?? 0) >= 3)
    }
}
