import MartletJSON
import MartletModels
import MartletTensors
import MartletTraining
import TestSupport
import Testing

/// Against `Tests/Fixtures/metrics/metrics.json`, which `Tools/fixtures/metrics.py` makes with the reference libraries.
@Suite struct MetricsTests {
    private let expected: JSON

    init() throws { expected = try JSON(contentsOf: Fixtures.folder + "/metrics/metrics.json") }

    private func strings(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }
    private func numbers(_ json: JSON?) -> [Double] { (json?.arrayValue ?? []).compactMap(\.doubleValue) }

    @Test func bleu() throws {
        let cases = try #require(expected["bleu"]?.arrayValue)
        #expect(cases.count == 384)
        for item in cases {
            let value = item["value"]?.doubleValue ?? 0
            let smoothing: BLEU.Smoothing =
                switch item["smoothing"]?.stringValue {
                case "exp": .exponential
                case "floor": .floor(value)
                case "add-k": .add(value)
                default: .none
                }
            let tokenizer = try #require(BLEUTokenizer(rawValue: item["tokenizer"]?.stringValue ?? ""))
            let bleu = BLEU(tokenizer, smoothing: smoothing, lowercases: item["lowercase"]?.boolValue ?? false)
            let streams = (item["references"]?.arrayValue ?? []).map(strings)
            let hypotheses = strings(item["hypotheses"])
            let score = bleu.corpus(hypotheses, hypotheses.indices.map { line in streams.map { $0[line] } })
            let name = "\(tokenizer) \(smoothing) \(hypotheses.count) lines, \(streams.count) references"
            #expect(abs(score.score - (item["score"]?.doubleValue ?? -1)) < 1e-9, "\(name)")
            #expect(zip(score.precisions, numbers(item["precisions"])).allSatisfy { abs($0 - $1) < 1e-9 }, "\(name)")
            #expect(abs(score.brevityPenalty - (item["bp"]?.doubleValue ?? -1)) < 1e-12, "\(name)")
            #expect(score.hypothesisLength == item["hypothesis_length"]?.integerValue, "\(name)")
            #expect(score.referenceLength == item["reference_length"]?.integerValue, "\(name)")
        }
    }

    @Test func squad() throws {
        for pair in try #require(expected["squad"]?["normalized"]?.arrayValue) {
            let words = SquadScore.normalized(pair[0]?.stringValue ?? "").map { String(decoding: $0, as: UTF8.self) }
            #expect(words.joined(separator: " ") == pair[1]?.stringValue)
        }
        for pair in try #require(expected["squad"]?["pairs"]?.arrayValue) {
            let score = SquadScore.corpus([pair[0]?.stringValue ?? ""], [[pair[1]?.stringValue ?? ""]])
            #expect(score.exact == 100 * (pair[2]?.doubleValue ?? -1))
            #expect(abs(score.f1 - 100 * (pair[3]?.doubleValue ?? -1)) < 1e-9)
        }
    }

    @Test func classification() throws {
        let item = try #require(expected["classification"])
        let (labels, predictions) = (strings(item["labels"]), strings(item["predictions"]))
        let scores = Classification(predictions: predictions, labels: labels)
        #expect(scores.accuracy == item["accuracy"]?.doubleValue)
        func close(_ scores: (precision: Double, recall: Double, f1: Double), _ key: String) -> Bool {
            zip([scores.precision, scores.recall, scores.f1], numbers(item[key])).allSatisfy { abs($0 - $1) < 1e-12 }
        }
        #expect(close(scores.scores(.micro), "micro"))
        #expect(close(scores.scores(.macro), "macro"))
        #expect(close(scores.scores(.binary(positive: "a")), "binary"))
    }

    @Test func spans() throws {
        let item = try #require(expected["spans"])
        let scores = FMeasure.ofSpans(
            predictions: (item["predictions"]?.arrayValue ?? []).map(strings),
            labels: (item["labels"]?.arrayValue ?? []).map(strings))
        let wanted = numbers(item["scores"])
        #expect(zip([scores.precision, scores.recall, scores.f1], wanted).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test func correlations() throws {
        let item = try #require(expected["correlation"])
        let (a, b) = (numbers(item["a"]), numbers(item["b"]))
        #expect(abs(Correlation.spearman(a, b) - (item["spearman"]?.doubleValue ?? 9)) < 1e-12)
        #expect(abs(Correlation.pearson(a, b) - (item["pearson"]?.doubleValue ?? 9)) < 1e-12)
    }

    @Test func perplexity() throws {
        let item = try #require(expected["perplexity"])
        let tokens = numbers(item["tokens"]).map { Int32($0) }
        let device = Device(threads: 2)
        let decoder = try ModelFile(path: Fixtures.folder + "/families/llama").decoder(on: device)
        for part in try #require(item["cases"]?.arrayValue) {
            let window = try #require(part["window"]?.integerValue)
            let score = try Perplexity(window: window, stride: part["stride"]?.integerValue ?? 1)(
                tokens, decoder, on: device)
            #expect(score.tokens == part["count"]?.integerValue)
            #expect(abs(score.loss - (part["loss"]?.doubleValue ?? 0)) < 1e-5)
        }
    }
}
