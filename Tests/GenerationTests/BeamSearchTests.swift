import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Beam search against transformers' `generate`, and against itself without a cache.
@Suite struct BeamSearchTests {
    static let folder = Fixtures.folder + "/families"

    /// A search of a fixture: its name ("beam", "beam_usual", …) and the sequence it starts from.
    struct Case: Sendable, CustomTestStringConvertible {
        let fixture: String
        let array: String
        let index: Int
        var testDescription: String { "\(fixture) \(array).\(index)" }
    }

    static let cases: [Case] = Fixtures.entries(folder).flatMap { fixture -> [Case] in
        guard let tensors = try? Safetensors(contentsOf: "\(folder)/\(fixture)/expected.safetensors").tensors else {
            return []
        }
        return tensors.names.filter { $0.hasPrefix("beam") && !$0.contains("_scores") }.compactMap { name in
            let parts = name.split(separator: ".").map(String.init)
            return parts.count == 2 ? Int(parts[1]).map { Case(fixture: fixture, array: parts[0], index: $0) } : nil
        }
    }

    @Test func thereAreSearches() { #expect(Self.cases.count >= 30) }

    @Test(arguments: cases) func findsWhatTheReferenceFinds(search: Case) throws {
        let path = "\(Self.folder)/\(search.fixture)"
        let expected = try Safetensors(contentsOf: path + "/expected.safetensors")
        let config = try ModelFile.config(in: path)
        let options = try Self.options(search, expected.metadata, config)
        let wanted = try expected.tensors.tensor("\(search.array).\(search.index)")
        let scores = try expected.tensors.tensor("\(search.array)_scores.\(search.index)").values
        for memory in [Continuation.Memory.cached, .uncached] {
            let found = try Self.search(path, try Self.source(expected.tensors, search.index), config, options, memory)
            #expect(found.count == scores.count)
            for (index, hypothesis) in found.enumerated() {
                let row = Array(wanted.integers[index * wanted.shape[1]..<(index + 1) * wanted.shape[1]])
                // After its end a row is padded.
                #expect(Array(row.dropFirst().prefix(hypothesis.tokens.count)) == hypothesis.tokens)
                let last = hypothesis.tokens.last ?? -1
                #expect(hypothesis.tokens.count == row.count - 1 || options.stopTokens.contains(last))
                #expect(abs(hypothesis.score - scores[index]) < 1e-4)
            }
        }
    }

    @Test(arguments: ["t5", "bart", "marian", "marian-separate", "pegasus", "mbart", "t5-v1.1"])
    func oneBeamIsGreedy(fixture: String) throws {
        let path = "\(Self.folder)/\(fixture)"
        let expected = try Safetensors(contentsOf: path + "/expected.safetensors").tensors
        let config = try ModelFile.config(in: path)
        for index in 0..<2 {
            let wanted = try expected.tensor("greedy.\(index)").integers
            var options = BeamSearch.Options(beams: 1, maximumTokens: wanted.count - 1)
            options.rules.badWords = Self.badWords(config)
            let found = try Self.search(path, try Self.source(expected, index), config, options, .cached)
            #expect(found[0].tokens == Array(wanted.dropFirst()))
        }
    }

    /// Several sources in common passes give the very numbers that each gives alone.
    /// As in the reference's two loops: rules change the logits of one beam, the log-probabilities of several.
    @Test(arguments: [(1, 1), (2, 0)]) func penaltiesOfOneBeamAreOfLogits(beams: Int, best: Int32) throws {
        var options = BeamSearch.Options(beams: beams, maximumTokens: 1)
        options.rules.repetitionPenalty = 1.5
        var item = BeamItem(prompt: [0], options, context: nil)
        _ = item.step(Tensor([6, 4.1, 0, 0], shape: [1, 4]), source: [])
        #expect(item.best(1).first?.tokens == [best])
    }

    @Test func batchedIsAlone() throws {
        let path = "\(Self.folder)/bart"
        let expected = try Safetensors(contentsOf: path + "/expected.safetensors").tensors
        let device = Device(threads: 2)
        guard case .encoderDecoder(let model) = try ModelFile(path: path).model(on: device) else { return }
        let sources = try (0..<2).map { try Self.source(expected, $0) }
        let options = BeamSearch.Options(beams: 3, results: 3, maximumTokens: 12, stopTokens: [40, 61])
        func search(_ sources: [[Int32]]) throws -> [[BeamSearch.Hypothesis]] {
            try BeamSearch(options, vocabulary: model.targetVocabulary).run(
                sources.map { _ in [2] }, on: Continuation(model, sources: sources, on: device))
        }
        let together = try search(sources)
        #expect(try together == sources.map { try search([$0])[0] })
        #expect(together.allSatisfy { !$0.isEmpty })
    }

    /// Decoders search too; beams that part and share their past in the cache change no bit.
    @Test func decodersSearchAlikeWithAndWithoutCache() throws {
        let device = Device(threads: 2)
        let decoder = try Decoder(
            TinyArchitectures.decoder(), Scope(SeededInitialiser(seed: 5, device: device, deviation: 0.3)))
        let prompts = [70, 3].map { EquivalenceTests.tokens($0) }
        let options = BeamSearch.Options(beams: 4, results: 4, maximumTokens: 80, stopTokens: [17])
        let found = try [Continuation.Memory.cached, .uncached].map { memory in
            try BeamSearch(options, vocabulary: 61).run(
                prompts, on: Continuation(decoder, sequences: 2, memory: memory, on: device))
        }
        #expect(found[0] == found[1])
        #expect(Set(found[0][0].map(\.tokens)).count == 4)
    }

    /// LongRoPE turns all positions otherwise once a text outgrows the trained length (16 here): cached keys are then
    /// wrong.
    @Test func aTextThatOutgrowsItsTrainedLengthIsReadAnew() throws {
        let device = Device(threads: 2)
        let decoder = try ModelFile(path: Self.folder + "/phi3-longrope").decoder(on: device)
        let options = BeamSearch.Options(beams: 3, results: 3, maximumTokens: 10)
        let prompts: [[Int32]] = [[5, 9, 30, 12, 44, 7, 8, 21, 33, 60, 2, 3], [4, 5, 6]]
        let found = try [Continuation.Memory.cached, .uncached].map { memory in
            try BeamSearch(options, vocabulary: 64).run(
                prompts, on: Continuation(decoder, sequences: 2, memory: memory, on: device))
        }
        #expect(found[0] == found[1])
    }

    @Test func refusesEverythingWrongAtOnce() {
        var options = BeamSearch.Options(beams: 0, maximumTokens: 0, lengthPenalty: .nan)
        options.rules.suppressed = [99]
        #expect {
            _ = try BeamSearch(options, vocabulary: 61)
        } throws: { error in
            let words = "\(error)"
            return words.contains("0 beams") && words.contains("0 tokens") && words.contains("penalty")
                && words.contains("token 99")
        }
    }

    static func source(_ expected: StoredTensors, _ index: Int) throws -> [Int32] {
        try expected.tensor("tokens.\(index)").integers
    }

    static func search(
        _ path: String, _ source: [Int32], _ config: JSONObject, _ options: BeamSearch.Options,
        _ memory: Continuation.Memory
    ) throws -> [BeamSearch.Hypothesis] {
        let device = Device(threads: 1)
        let start = Int32(config["decoder_start_token_id"]?.integerValue ?? 0)
        guard case .encoderDecoder(let model) = try ModelFile(path: path).model(on: device) else { return [] }
        return try BeamSearch(options, vocabulary: model.targetVocabulary).run(
            [[start]], on: Continuation(model, sources: [source], memory: memory, on: device))[0]
    }

    static func badWords(_ config: JSONObject) -> [[Int32]] {
        config["bad_words_ids"]?.arrayValue?.map {
            $0.arrayValue?.compactMap { $0.integerValue.map { Int32($0) } } ?? []
        }
            ?? []
    }

    /// The settings that the fixture's metadata hold in transformers' words.
    static func options(
        _ search: Case, _ metadata: [(key: String, value: String)], _ config: JSONObject
    ) throws -> BeamSearch.Options {
        let text = metadata.first { $0.key == "\(search.array).\(search.index).settings" }?.value ?? ""
        let settings = try JSON(parsing: text)
        func integer(_ key: String) -> Int? { settings[key]?.integerValue }
        func token(_ key: String) -> Int32? { integer(key).map { Int32($0) } }
        var options = BeamSearch.Options(
            beams: integer("num_beams") ?? 1, results: integer("num_return_sequences") ?? 1,
            maximumTokens: integer("max_new_tokens") ?? 0,
            lengthPenalty: Float(settings["length_penalty"]?.doubleValue ?? 1))
        switch settings["early_stopping"] {
        case .bool(true)?: options.earlyStopping = .whenFull
        case .string?: options.earlyStopping = .never
        default: options.earlyStopping = .whenUnlikely
        }
        options.stopTokens = Set([token("eos_token_id")].compactMap { $0 })
        options.rules.badWords = badWords(config)
        options.rules.noRepeatNGram = integer("no_repeat_ngram_size") ?? 0
        options.rules.minimumNewTokens = integer("min_new_tokens") ?? 0
        options.rules.forcedFirst = token("forced_bos_token_id")
        options.rules.forcedLast = token("forced_eos_token_id")
        options.rules.suppressed =
            settings["suppress_tokens"]?.arrayValue?.compactMap { $0.integerValue.map { Int32($0) } } ?? []
        return options
    }
}
