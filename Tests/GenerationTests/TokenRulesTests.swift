import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// The rules on scores, against transformers' logits processors (5.24) on the same numbers.
@Suite struct TokenRulesTests {
    static let scores: [Float] = [1, -2, 3, -0.5, 0.25, 2]

    private static let never: Float = -.infinity

    private func applied(_ change: (inout TokenRules) -> Void, tokens: [Int32] = [2, 1, 3], prompt: Int = 2) -> [Float]
    {
        var rules = TokenRules()
        change(&rules)
        var scores = Self.scores
        rules.apply(
            to: &scores,
            .init(
                tokens: tokens, promptCount: prompt, maximumNewTokens: 4, stopTokens: [5],
                source: Array(tokens[..<prompt])))
        return scores
    }

    @Test func repetition() {
        #expect(applied { $0.repetitionPenalty = 2 } == [1, -4, 1.5, -1, 0.25, 2])
        #expect(applied { $0.encoderRepetitionPenalty = 2 } == [1, -1, 6, -0.5, 0.25, 2])
    }

    @Test func biasOfSequences() {
        #expect(
            applied {
                $0.sequenceBias = [
                    .init(tokens: [4], bias: 10), .init(tokens: [1, 3, 0], bias: -7),
                    .init(tokens: [2, 3, 1], bias: 100),
                ]
            } == [-6, -2, 3, -0.5, 10.25, 2])
    }

    @Test func ends() {
        // Three new tokens, growing from the first on: 2 + 2 · (1.5² − 1).
        #expect(applied({ $0.decay = .init(start: 1, factor: 1.5) }, tokens: [2, 1, 3, 0], prompt: 1)[5] == 4.5)
        #expect(applied { $0.decay = .init(start: 1, factor: 1.5) }[5] == 2)
        #expect(applied { $0.minimumNewTokens = 2 }[5] == Self.never)
        #expect(applied { $0.minimumNewTokens = 1 }[5] == 2)
        let forced = applied({ $0.forcedLast = 5 }, tokens: [2, 1, 3, 0, 4], prompt: 2)
        #expect(forced == [Self.never, Self.never, Self.never, Self.never, Self.never, 0])
    }

    @Test func forbidden() {
        #expect(applied({ $0.noRepeatNGram = 2 }, tokens: [1, 3, 1], prompt: 1)[3] == Self.never)
        // [2, 1] was read, and the text ends in 2; a text that ends otherwise may go on with 1.
        #expect(applied({ $0.encoderNoRepeatNGram = 2 }, tokens: [2, 1, 2], prompt: 2)[1] == Self.never)
        #expect(applied { $0.encoderNoRepeatNGram = 2 }[1] == -2)
        #expect(applied { $0.badWords = [[3, 4], [0], [5]] } == [Self.never, -2, 3, -0.5, Self.never, 2])
        #expect(applied { $0.suppressed = [2] }[2] == Self.never)
        #expect(applied({ $0.suppressedFirst = [2] }, tokens: [1], prompt: 1)[2] == Self.never)
        #expect(applied { $0.suppressedFirst = [2] }[2] == 3)
    }
}

/// `generation_config.json` as it is published.
@Suite struct GenerationDefaultsTests {
    private func read(_ text: String) throws -> GenerationDefaults {
        try GenerationDefaults(
            try #require(try JSON(parsing: text, as: .python).objectValue), path: "generation_config.json")
    }

    @Test func everythingItSays() throws {
        let defaults = try read(
            """
            {"do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [7, 9], "repetition_penalty": 1.3,
             "max_length": 40, "min_length": 12, "suppress_tokens": [3], "begin_suppress_tokens": [4, 5], "bad_words_ids": [[1], [2, 6]],
             "no_repeat_ngram_size": 3, "forced_bos_token_id": 8, "forced_eos_token_id": [9], "num_beams": 4, "length_penalty": 2.0,
             "early_stopping": true, "sequence_bias": [[[3, 4], -1.5]], "exponential_decay_length_penalty": [5, 1.2],
             "stop_strings": ["END"], "transformers_version": "4.57.0", "_from_model_config": true, "pad_token_id": 0}
            """)
        #expect(defaults.sampling == Sampling(temperature: 0.6, topK: 50, topP: 0.9))
        #expect(defaults.stopTokens == [7, 9] && defaults.stopTexts == ["END"])
        #expect(defaults.maximumNewTokens(after: 10) == 30 && defaults.minimumNewTokens(after: 10) == 2)
        #expect(defaults.rules.repetitionPenalty == 1.3 && defaults.rules.noRepeatNGram == 3)
        #expect(defaults.rules.badWords == [[1], [2, 6]] && defaults.rules.suppressed == [3])
        #expect(defaults.rules.suppressedFirst == [4, 5])
        #expect(defaults.rules.forcedFirst == 8 && defaults.rules.forcedLast == 9)
        #expect(defaults.rules.sequenceBias == [.init(tokens: [3, 4], bias: -1.5)])
        #expect(defaults.rules.decay == .init(start: 5, factor: 1.2))
        #expect(defaults.beams == 4 && defaults.lengthPenalty == 2 && defaults.earlyStopping == .whenFull)
        #expect(defaults.stated.first == "do_sample = true" && defaults.stated.count == 19)
        #expect(defaults.unsupported.isEmpty)
    }

    @Test func cutoffsHoldWhereTokensAreDrawn() throws {
        let defaults = try read(#"{"do_sample": true, "epsilon_cutoff": 3e-4, "eta_cutoff": 1}"#)
        #expect(defaults.sampling == Sampling(temperature: 1, topK: 50, epsilonCutoff: 3e-4))
        #expect(defaults.unsupported.isEmpty && defaults.stated.count == 3)
        #expect(try read(#"{"epsilon_cutoff": 0.01}"#).sampling == .greedy)
    }

    @Test func whatIsNotDoneIsNamed() throws {
        let defaults = try read(
            #"{"penalty_alpha": 0.6, "guidance_scale": 1.0, "num_beam_groups": 2, "do_sample": false, "top_k": 4}"#)
        #expect(defaults.unsupported == ["penalty_alpha = 0.6", "num_beam_groups = 2"])
        #expect(defaults.sampling == .greedy)
    }

    @Test func severalForcedEndsAreNamed() throws {
        let defaults = try read(#"{"forced_eos_token_id": [3, 7], "encoder_no_repeat_ngram_size": 3}"#)
        #expect(defaults.unsupported == ["forced_eos_token_id = [3,7]"] && defaults.rules.encoderNoRepeatNGram == 3)
    }

    @Test func whatIsWrongIsRefused() {
        #expect(throws: ConfigError.self) { try read(#"{"temperature": -1, "num_beams": 0}"#) }
    }
}

/// Ids that transformers generates under the settings of a `generation_config.json`.
@Suite struct GenerationSettingsTests {
    static let cases = (try? JSON(contentsOf: Fixtures.folder + "/generation/rules.json").arrayValue) ?? []

    private static func ids(_ json: JSON?) -> [Int32] {
        (json?.arrayValue ?? []).compactMap { $0.integerValue.map { Int32($0) } }
    }

    @Test func thereAreCases() { #expect(Self.cases.count == 26) }

    @Test(arguments: cases.indices) func idsAreTheReferences(number: Int) throws {
        let item = Self.cases[number]
        let (prompt, wanted) = (Self.ids(item["prompt"]), Self.ids(item["ids"]))
        let defaults = try GenerationDefaults(
            try #require(item["settings"]?.objectValue), path: "generation_config.json")
        let device = Device(threads: 1)
        let file = try ModelFile(path: "\(Fixtures.folder)/families/\(item["model"]?.stringValue ?? "")")
        let model = try file.model(on: device)
        // An encoder-decoder continues its start token.
        let start = try file.config()["decoder_start_token_id"]?.integerValue.map { [Int32($0)] } ?? prompt
        var rules = defaults.rules
        rules.minimumNewTokens = defaults.minimumNewTokens(after: start.count)
        let most = defaults.maximumNewTokens(after: start.count) ?? 16
        if case .decoder(let decoder) = model, defaults.beams == 1 {
            var generator = try TokenGenerator(
                decoder, prompt: prompt, .init(maximumTokens: most, stopTokens: defaults.stopTokens, rules: rules),
                on: device)
            while generator.next() != nil {}
            // The reference returns the stop token too.
            let isStopped = generator.finish == .stop
            #expect(
                generator.tokens == (isStopped ? Array(wanted.dropLast()) : wanted), "\(item["settings"]?.text() ?? "")"
            )
            return
        }
        let search = try BeamSearch(
            .init(
                beams: defaults.beams, maximumTokens: most, lengthPenalty: defaults.lengthPenalty,
                earlyStopping: defaults.earlyStopping, stopTokens: defaults.stopTokens, rules: rules),
            vocabulary: file.architecture.vocabulary)
        let found =
            switch model {
            case .decoder(let decoder):
                try search.run([start], on: Continuation(decoder, sequences: 1, on: device))
            case .encoderDecoder(let model):
                try search.run([start], sources: [prompt], on: Continuation(model, sources: [prompt], on: device))
            case .encoder: [[BeamSearch.Hypothesis]]()
            }
        // Repetition penalties over one beam of an encoder-decoder part from the reference after a few tokens.
        withKnownIssue(isIntermittent: true) {
            #expect(start + (found.first?.first?.tokens ?? []) == wanted, "\(item["settings"]?.text() ?? "")")
        } when: {
            [18, 20].contains(number)
        }
    }
}
