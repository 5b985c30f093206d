import MartletJSON
import MartletTraining
import TestSupport
import Testing

/// Against `Tests/Fixtures/metrics/more.json`, which `Tools/fixtures/more_metrics.py` makes with the reference
/// libraries.
@Suite struct MoreMetricsTests {
    private let expected: JSON

    init() throws { expected = try JSON(contentsOf: Fixtures.folder + "/metrics/more.json") }

    private func texts(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }
    private func numbers(_ json: JSON?) -> [Double] { (json?.arrayValue ?? []).compactMap(\.doubleValue) }

    @Test func summaries() throws {
        let cases = try #require(expected["rouge"]?.arrayValue)
        for item in cases {
            let scores = ROUGE.scores(item[0]?.stringValue ?? "", item[1]?.stringValue ?? "")
            for (found, index) in [(scores.one, 2), (scores.two, 3), (scores.longest, 4)] {
                #expect(abs(found - (item[index]?.doubleValue ?? 9)) < 1e-12, "\(item)")
            }
        }
        #expect(cases.count == 13)
    }

    @Test func characters() throws {
        let (references, second) = (texts(expected["references"]), texts(expected["second"]))
        for item in try #require(expected["chrf"]?.arrayValue) {
            let both = item["references"]?.integerValue == 2
            let score = CharacterF(wordOrder: item["order"]?.integerValue ?? 0).corpus(
                texts(expected["hypotheses"]), zip(references, second).map { both ? [$0, $1] : [$0] })
            #expect(abs(score - (item["score"]?.doubleValue ?? 0)) < 1e-9, "\(item): \(score)")
        }
    }

    @Test func strictSpans() throws {
        let item = try #require(expected["strict"])
        let scores = FMeasure.ofSpans(
            predictions: (item["predictions"]?.arrayValue ?? []).map(texts),
            labels: (item["labels"]?.arrayValue ?? []).map(texts), strict: true)
        let wanted = numbers(item["scores"])
        #expect(zip([scores.precision, scores.recall, scores.f1], wanted).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test func confusionAndCalibration() throws {
        let item = try #require(expected["confusion"])
        let scores = Classification(predictions: texts(item["predictions"]), labels: texts(item["labels"]))
        #expect(scores.confusion.map { $0.map(Double.init) } == (item["matrix"]?.arrayValue ?? []).map(numbers))
        #expect(scores.perClass.reduce(0) { $0 + $1.support } == 60)
        let calibration = try #require(expected["calibration"])
        let error = Calibration.error(
            confidences: numbers(calibration["confidences"]),
            isRight: (calibration["right"]?.arrayValue ?? []).compactMap(\.boolValue))
        #expect(abs(error - (calibration["error"]?.doubleValue ?? 9)) < 1e-12)
    }

    @Test func questionsWithoutAnswer() throws {
        let item = try #require(expected["squad2"])
        let score = SquadScore.second(texts(item["predictions"]), (item["answers"]?.arrayValue ?? []).map(texts))
        #expect(zip([score.exact, score.f1], numbers(item["scores"])).allSatisfy { abs($0 - $1) < 1e-9 })
    }
}
