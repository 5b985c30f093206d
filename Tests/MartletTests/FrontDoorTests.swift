import Foundation
import Martlet
import MartletJSON
import TestSupport
import Testing

/// The view of a program that imports the library alone: names, errors, places of models.
@Suite struct FrontDoorTests {
    @Test func everyErrorHasCauseRemedyAndOffences() async throws {
        let missing = await #expect(throws: LoadError.self) { try await LanguageModel.load(path: "/no/such/model") }
        #expect(missing?.description.contains("/no/such/model") == true)
        guard case .model(let error as ModelError)? = missing else { return #expect(Bool(false), "\(missing)") }
        #expect(error.offences == [error.cause] && error.remedy == nil)
        let broken = #expect(throws: TokenizerError.self) { try Tokenizer(json: Array("[]".utf8)) }
        #expect(broken.map { !$0.offences.isEmpty } == true)
        // As Foundation's users ask.
        let localized: any Error = ConfigError(path: "config.json", offences: ["a", "b"])
        #expect(localized.localizedDescription == "config.json: cannot use these settings: a; b")
        #expect((localized as? any LocalizedError)?.failureReason == "\(localized)")
        #expect((localized as? any MartletError)?.offences == ["a", "b"])
    }

    /// The case says what to look at.
    @Test func loadingSaysWhatIsWrong() async throws {
        try await TemporaryFolder.use { path in
            try Data("{}".utf8).write(to: URL(fileURLWithPath: path + "/config.json"))
            let error = await #expect(throws: LoadError.self) { try await LanguageModel.load(path: path) }
            guard case .file? = error else { return #expect(Bool(false), "no weights: \(error)") }
            let config = Fixtures.folder + "/families/llama/config.json"
            let weights = Fixtures.folder + "/families/gpt2/model.safetensors"
            try FileManager.default.removeItem(atPath: path + "/config.json")
            try FileManager.default.copyItem(atPath: config, toPath: path + "/config.json")
            try FileManager.default.copyItem(atPath: weights, toPath: path + "/model.safetensors")
            let other = await #expect(throws: LoadError.self) { try await LanguageModel.load(path: path) }
            guard case .weights(let mismatch)? = other else { return #expect(Bool(false), "\(other)") }
            #expect(mismatch.offences == mismatch.missing + mismatch.misshapen && !mismatch.offences.isEmpty)
            #expect(mismatch.description.hasSuffix("Use the config.json that belongs to these weights"))
        }
    }

    /// A cancelled text says so: a part is never taken for the whole.
    @Test func aCancelledTextSaysSo() async throws {
        let model = try await LanguageModel.load(path: Fixtures.folder + "/gguf/llama-f16.gguf", threads: 1)
        let reading = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await model.generate("one", GenerationOptions(maximumTokens: 30, endOfText: .ignored)).text()
        }
        reading.cancel()
        let error = await #expect(throws: GenerationError.self) { try await reading.value }
        #expect(error?.kind == .cancelled)
    }

    /// With files that are copied, what happens to them later changes nothing, the vocabulary and a table that is
    /// looked up in included.
    @Test func aCopiedModelOutlivesItsFiles() async throws {
        try await TemporaryFolder.use { path in
            let file = path + "/model.gguf"
            try FileManager.default.copyItem(atPath: Fixtures.folder + "/gguf/llama-q8_0.gguf", toPath: file)
            func text(_ model: LanguageModel) async throws -> String {
                try await model.generate("one", GenerationOptions(maximumTokens: 8, endOfText: .ignored)).text()
            }
            let mapped = try await text(LanguageModel.load(path: file, threads: 1))
            let model = try await LanguageModel.load(path: file, threads: 1, files: .copied)
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
            try handle.truncate(atOffset: 0)
            #expect(try await text(model) == mapped && !mapped.isEmpty)
        }
    }

    @Test func modelsAreFoundByNameInTheHubCache() throws {
        try TemporaryFolder.use { path in
            let model = path + "/models--org--name"
            let snapshot = model + "/snapshots/0123abc"
            defer { try? FileManager.default.removeItem(atPath: model) }
            try FileManager.default.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
            #expect(HubCache.snapshot(of: "org/name", in: path) == nil)
            try FileManager.default.createDirectory(atPath: model + "/refs", withIntermediateDirectories: true)
            try Data("0123abc\n".utf8).write(to: URL(fileURLWithPath: model + "/refs/main"))
            #expect(HubCache.snapshot(of: "org/name", in: path) == snapshot)
            for name in ["org/other", "org", "org/name/more", "/name", "org/", "../name", "./name"] {
                #expect(HubCache.snapshot(of: name, in: path) == nil, "\(name)")
            }
            try Data("".utf8).write(to: URL(fileURLWithPath: model + "/refs/main"))
            #expect(HubCache.snapshot(of: "org/name", in: path) == nil)
        }
    }

    /// The tasks by path: the labels that transformers' pipeline gives.
    @Test func tasksAreLoadedByPath() async throws {
        let folder = Fixtures.folder + "/tasks/classes"
        let cases = try JSON(contentsOf: folder + "/expected.json")["cases"]?.arrayValue ?? []
        let texts = cases.compactMap { $0[0]?["text_pair"] == nil ? $0[0]?["text"]?.stringValue : nil }
        let wanted = cases.compactMap { $0[0]?["text_pair"] == nil ? $0[1]?[0]?[0]?.stringValue : nil }
        #expect(texts.count > 2)
        let classifier = try await Classifier.load(path: folder)
        #expect(try classifier.classify(texts).map { $0[0].label } == wanted)
        let error = await #expect(throws: LoadError.self) { try await Tagger.load(path: folder) }
        #expect(error?.cause.contains("no head that tags tokens") == true)
        let vectors = try await Embedder.load(path: EmbeddedModel.path()).embed(["In the beginning", "the end"])
        #expect(vectors.map(\.count) == [256, 256])
    }

    /// The encoder that ships: vectors of length 1, near the numbers of transformers over its weights in f32, and
    /// nearer the nearer the meaning is.
    @Test func theEncoderOfSentencesKnowsWhatIsNear() async throws {
        let encoder = try await Embedder.load(path: EmbeddedModel.path(.sentences))
        let vectors = try encoder.embed([
            "A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply on Monday.",
        ])
        #expect(vectors.allSatisfy { $0.count == 384 && abs($0.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5 })
        let wanted: [Float] = [0.0126, -0.0027, -0.0282, -0.0705, -0.1475, 0.0108, 0.0937, -0.0324]
        #expect(zip(vectors[0], wanted).allSatisfy { abs($0 - $1) < 4e-3 }, "\(vectors[0].prefix(8))")
        let (near, far) = (encoder.similarity(vectors[0], vectors[1]), encoder.similarity(vectors[0], vectors[2]))
        #expect(near > 0.5 && far < 0.25, "\(near) \(far)")
        let ranker = try await Reranker.load(path: EmbeddedModel.path(.sentences))
        let ranked = try ranker.rank(["Rain is expected.", "He strums his guitar."], for: "A man is playing a guitar.")
        #expect(ranked.map(\.index) == [1, 0])
    }
}
