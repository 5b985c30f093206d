import MartletGeneration
import MartletJSON
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// A real trained encoder-decoder from a foreign file: CTranslate2's Arabic-to-English transliteration, against
/// CTranslate2's answers.
@Suite(.enabled(if: Fixtures.data != nil, "needs the real models beside the package")) struct TransliterationTests {
    static let folder = (Fixtures.data ?? "") + "/weights/aren-transliteration"

    /// The goldens have five digits.
    static let tolerance = 1e-5

    /// CTranslate2 writes at least one token unless told otherwise, and the others' probabilities then sum to 1 without
    /// the end's.
    static var rules: TokenRules {
        var rules = TokenRules()
        (rules.minimumNewTokens, rules.remainder) = (1, .renormalised)
        return rules
    }

    struct Answers {
        let sources: [String]
        let hypotheses: [[String]]
        let scores: [[Double]]

        init(_ run: String, in goldens: JSON) {
            let entries = goldens["runs"]?["aren-transliteration|float32|\(run)"]?.arrayValue ?? []
            sources = entries.compactMap { $0["src"]?.stringValue }
            hypotheses = entries.map { $0["hyps"]?.arrayValue?.compactMap(\.stringValue) ?? [] }
            scores = entries.map { $0["scores"]?.arrayValue?.compactMap(\.doubleValue) ?? [] }
        }
    }

    /// One token a line, compared scalar by scalar.
    static func vocabulary(_ side: String) -> [[Unicode.Scalar]] {
        Fixtures.lines(folder + "/\(side)_vocabulary.txt").map { Array($0.unicodeScalars) }
    }

    struct Search {
        let model: EncoderDecoder
        let device: Device
        let source, target: [[Unicode.Scalar]]

        init() throws {
            device = Device(threads: 2)
            guard case .encoderDecoder(let model) = try ModelFile(path: folder).model(on: device) else {
                throw ModelError("not an encoder-decoder")
            }
            self.model = model
            source = vocabulary("source")
            target = vocabulary("target")
        }

        func run(_ words: [String], _ options: BeamSearch.Options) throws -> [[BeamSearch.Hypothesis]] {
            let sources = words.map { word in
                word.unicodeScalars.map { scalar in Int32(source.firstIndex { $0 == [scalar] } ?? source.count) }
            }
            return try BeamSearch(options, vocabulary: model.targetVocabulary).run(
                words.map { _ in [1] }, on: Continuation(model, sources: sources, on: device))
        }

        func text(_ hypothesis: BeamSearch.Hypothesis) -> String {
            var text = String.UnicodeScalarView()
            for token in hypothesis.tokens where token != 2 { text.append(contentsOf: target[Int(token)]) }
            return String(text)
        }
    }

    static func goldens() throws -> JSON {
        try JSON(contentsOf: (Fixtures.data ?? "") + "/goldens/aren-transliteration/expected.json")
    }

    @Test func greedyAnswersAndTheirProbabilities() throws {
        let goldens = try Self.goldens()
        let answers = Answers("beam1|length_penalty=0", in: goldens)
        let search = try Search()
        #expect(answers.sources.count == 80)
        let found = try search.run(
            answers.sources, .init(beams: 1, maximumTokens: 60, lengthPenalty: 0, stopTokens: [2], rules: Self.rules))
        for (index, hypotheses) in found.enumerated() {
            #expect(search.text(hypotheses[0]) == answers.hypotheses[index][0])
            #expect(abs(Double(hypotheses[0].score) - answers.scores[index][0]) < Self.tolerance)
        }
        // These were computed from given words, with nothing forbidden.
        let perToken = goldens["score_batch_of_greedy"]?.arrayValue ?? []
        #expect(!perToken.isEmpty)
        let plain = try search.run(
            answers.sources, .init(beams: 1, maximumTokens: 60, lengthPenalty: 0, stopTokens: [2]))
        for (hypotheses, wanted) in zip(plain, perToken) {
            let numbers = wanted["log_probs"]?.arrayValue?.compactMap(\.doubleValue) ?? []
            #expect(numbers.count == hypotheses[0].logProbabilities.count)
            for (found, wanted) in zip(hypotheses[0].logProbabilities, numbers) {
                #expect(abs(Double(found) - wanted) < Self.tolerance)
            }
        }
    }

    @Test func fourBeams() throws {
        let answers = Answers("beam4|length_penalty=1", in: try Self.goldens())
        let search = try Search()
        let options = BeamSearch.Options(
            beams: 4, results: 4, maximumTokens: 60, lengthPenalty: 1, earlyStopping: .whenFull, stopTokens: [2],
            rules: Self.rules)
        for (index, hypotheses) in try search.run(answers.sources, options).enumerated() {
            #expect(hypotheses.map { search.text($0) } == answers.hypotheses[index], "\(answers.sources[index])")
            for (hypothesis, score) in zip(hypotheses, answers.scores[index]) {
                #expect(abs(Double(hypothesis.score) - score) < Self.tolerance, "\(answers.sources[index])")
            }
        }
    }
}
