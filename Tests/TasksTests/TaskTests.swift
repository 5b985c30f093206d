import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// The tasks on the fixtures' random models: what must hold whatever the numbers are.
@Suite struct TaskTests {
    static let folder = Fixtures.folder + "/families"

    /// A vocabulary of words for the fixtures' 64 tokens: `[PAD]`, `[CLS]`, `[SEP]`, `[MASK]`, then w4 … w63.
    static func tokenizer() throws -> Tokenizer {
        var vocabulary = JSONObject()
        let special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
        for (id, word) in (special + (4..<64).map { "w\($0)" }).enumerated() { vocabulary[word] = .integer(id) }
        let added = JSON.array(
            special.enumerated().map { id, word in
                [
                    "id": .integer(id), "content": .string(word), "special": true, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false,
                ]
            })
        let document: JSON = [
            "version": "1.0", "added_tokens": added, "normalizer": nil,
            "pre_tokenizer": ["type": "WhitespaceSplit"],
            "post_processor": ["type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]],
            "decoder": nil, "model": ["type": "WordLevel", "vocab": .object(vocabulary), "unk_token": "[PAD]"],
        ]
        return try Tokenizer(json: Array(document.text(.compact).utf8))
    }

    static func open(_ fixture: String) throws -> (ModelFile, Tokenizer, Device) {
        (try ModelFile(path: folder + "/" + fixture), try tokenizer(), Device(threads: 2))
    }

    /// A word whose first token begins with the space in front of it has that token's tag.
    @Test func wordsBehindSpacesHaveTags() throws {
        let tokenizer = try Tokenizer(json: Fixtures.spacesBeforeWords)
        let file = try ModelFile(path: Self.folder + "/bert-tokens")
        let tagger = try Tagger(file, tokenizer, on: Device(threads: 2))
        let results = try ForwardPass.run(file, [.init([4, 5, 9, 8, 9])], on: Device(threads: 2))
        let logits = try #require(results.first { $0.name == "logits.0" }).tensor.values
        let count = tagger.labels.count
        let wanted = [0, 2, 4].map { row in
            tagger.labels[(0..<count).reduce(0) { logits[row * count + $1] > logits[row * count + $0] ? $1 : $0 }]
        }
        #expect(try tagger.tags(ofWords: [["EU", "re", "r"]]) == [wanted])
    }

    @Test(arguments: [
        "bert-classification", "roberta-classification", "deberta-v3-classification", "longformer-classification",
    ])
    func classesSumToOneAndAreNamed(fixture: String) throws {
        let (file, tokenizer, device) = try Self.open(fixture)
        let classifier = try Classifier(file, tokenizer, on: device)
        let texts: [(text: String, pair: String?)] = [("w5 w9 w30", nil), ("w8", "w11 w12"), ("w60 w61", nil)]
        let together = try classifier.classify(texts)
        #expect(Set(together[0].map(\.label)) == ["sad", "calm", "glad"])
        for (scores, text) in zip(together, texts) {
            #expect(abs(scores.reduce(0) { $0 + $1.score } - 1) < 1e-6)
            #expect(scores.map(\.score) == scores.map(\.score).sorted(by: >))
            #expect(try scores == classifier.classify([text])[0])
        }
    }

    @Test func aRegressionIsTheHeadsNumber() throws {
        let (file, tokenizer, device) = try Self.open("bert-regression")
        let score = try Classifier(file, tokenizer, on: device).classify([("w5 w9 w30", nil)])[0][0].score
        let results = try ForwardPass.run(file, [.init([1, 5, 9, 30, 2])], on: device)
        #expect(results.first { $0.name == "logits.0" }?.tensor.values == [score])
    }

    /// Spans carry the words they cover, by their places in scalars, also where the text is longer than the model's
    /// input.
    @Test(arguments: Tagger.Aggregation.allCases) func spansAreInTheirPlaces(aggregation: Tagger.Aggregation) throws {
        let (file, tokenizer, device) = try Self.open("bert-tokens")
        let text = "é " + (0..<120).map { "w\(4 + $0 * 7 % 60)" }.joined(separator: "  ")
        let scalars = Array(text.unicodeScalars)
        let tagger = try Tagger(file, tokenizer, on: device)
        let spans = try tagger.tag(["w5", text, "w9 w10"], aggregation)
        #expect(spans.count == 3 && !spans[1].isEmpty)
        for span in spans[1] {
            let kinds = aggregation == .none ? ["B-PER", "I-PER", "B-LOC", "I-LOC"] : ["PER", "LOC"]
            #expect(kinds.contains(span.label))
            var covered = String.UnicodeScalarView()
            covered.append(contentsOf: scalars[span.start..<span.end])
            #expect(String(covered) == span.text)
        }
        #expect(spans[1].map(\.start) == spans[1].map(\.start).sorted())
        #expect(try tagger.tag([text], aggregation)[0] == spans[1])
    }

    /// By definition: over all spans of all windows.
    @Test(arguments: ["bert-answers", "roberta-answers", "distilbert-answers", "deberta-v2-content"])
    func answersAreTheBestSpans(fixture: String) throws {
        let (file, tokenizer, device) = try Self.open(fixture)
        var options = Answerer.Options()
        (options.window, options.overlap, options.longestAnswer, options.results) = (16, 4, 3, 5)
        options.noAnswer = .possible
        let context = (0..<40).map { "w\(4 + $0 * 11 % 60)" }.joined(separator: " ")
        let answers = try Answerer(file, tokenizer, on: device).answer([("w7 w8", context)], options)[0]
        #expect(answers.count == 5)
        #expect(answers.map(\.score) == answers.map(\.score).sorted(by: >))
        let bytes = Array(context.utf8)
        for answer in answers where !answer.text.isEmpty {
            #expect(String(decoding: bytes[answer.start..<answer.end], as: UTF8.self) == answer.text)
            #expect(answer.text.split(separator: " ").count <= 3)
        }
        #expect(Set(answers.map { "\($0.start) \($0.end)" }).count == 5)
    }

    @Test(arguments: ["bert", "bert-pretraining", "albert", "deberta-v3"])
    func masksAreFilledByProbability(fixture: String) throws {
        let (file, tokenizer, device) = try Self.open(fixture)
        let filler = try MaskFiller(file, tokenizer, on: device)
        let fillings = try filler.fill(["w5 [MASK] w9 [MASK]", "[MASK]"], count: 64)
        #expect(fillings.map(\.count) == [2, 1])
        for masks in fillings {
            for filling in masks {
                #expect(abs(filling.reduce(0) { $0 + $1.probability } - 1) < 1e-5)
                #expect(filling.map(\.probability) == filling.map(\.probability).sorted(by: >))
            }
        }
        #expect(throws: TaskError.self) { try filler.fill(["w5"]) }
    }

    @Test func writersSearchAsTheFilesSay() throws {
        let (file, tokenizer, device) = try Self.open("marian")
        var writer = try Writer(file, tokenizer, task: .translation, on: device)
        #expect(writer.settings.startToken == 63)
        #expect(writer.settings.search.rules.badWords == [[63]])
        (writer.settings.search.maximumTokens, writer.settings.search.beams, writer.settings.search.results) = (8, 4, 2)
        let texts = ["w5 w6 w7 w8", "w30", "w40 w41"]
        let together = try writer.write(texts)
        #expect(together.allSatisfy { $0.count == 2 && $0[0].score >= $0[1].score })
        #expect(try together == texts.map { try writer.write([$0])[0] })
    }

    /// Languages stand behind the text and begin what is written (mBART), or before the text and are forced first
    /// (mBART-50).
    @Test func languagesStandWhereTheModelReadsThem() throws {
        let vocabulary = Languages()
        let file = try ModelFile(path: Self.folder + "/mbart")
        let languages = Writer.Languages(source: "en_XX", target: "ro")
        let writer = try Writer(file, vocabulary, task: .translation, languages, on: Device(threads: 2))
        #expect(writer.settings.startToken == 21)
        #expect(writer.settings.frame?.before == [] && writer.settings.frame?.after == [2, 20])
        #expect(throws: TaskError.self) {
            try Writer(file, vocabulary, task: nil, .init(target: "xx_YY"), on: Device(threads: 2))
        }
        try TemporaryFolder.use { path in
            for name in ["config.json", "model.safetensors"] {
                try writeFile(Fixtures.bytes(Self.folder + "/mbart/" + name), to: path + "/" + name)
            }
            let config: JSON = ["tokenizer_class": "MBart50TokenizerFast"]
            try writeFile(config.serialized(), to: path + "/tokenizer_config.json")
            let fifty = try Writer(
                ModelFile(path: path), vocabulary, task: nil, languages, on: Device(threads: 2)
            ).settings
            #expect(fifty.startToken == 3 && fifty.search.rules.forcedFirst == 21)
            #expect(fifty.frame?.before == [20] && fifty.frame?.after == [2])
        }
    }

    /// M2M-100 and NLLB: the language before the text, the other one forced first.
    @Test(arguments: [("en", "ro"), ("eng_Latn", "ron_Latn")])
    func languagesOfM2M(source: String, target: String) throws {
        let file = try ModelFile(path: Self.folder + "/m2m-100")
        let languages = Writer.Languages(source: source, target: target)
        let settings = try Writer(file, Languages(), task: nil, languages, on: Device(threads: 2)).settings
        #expect(settings.frame?.before == [20] && settings.frame?.after == [2])
        #expect(settings.search.rules.forcedFirst == 21)
        #expect(throws: TaskError.self) {
            try Writer(file, Languages(), task: nil, .init(target: "xx"), on: Device(threads: 2))
        }
    }

    /// Numbers for words, and two languages.
    private struct Languages: WriterVocabulary {
        func read(_ text: String, addSpecialTokens: Bool) -> [Int32] { [5, 6] }
        func text(of tokens: [Int32]) -> String { "" }
        func id(ofToken token: String) -> Int32? {
            [
                "</s>": 2, "en_XX": 20, "ro_RO": 21, "__en__": 20, "__ro__": 21, "eng_Latn": 20, "ron_Latn": 21,
            ][token]
        }
    }

    @Test func aModelWithoutTheHeadIsRefusedInWords() throws {
        let (file, tokenizer, device) = try Self.open("bert")
        #expect(throws: TaskError.self) { try Classifier(file, tokenizer, on: device) }
        #expect(throws: TaskError.self) { try Tagger(file, tokenizer, on: device) }
        #expect(throws: TaskError.self) { try Answerer(file, tokenizer, on: device) }
        #expect(throws: TaskError.self) { try Writer(file, tokenizer, task: nil, on: device) }
    }
}

/// The real transliteration model through its own vocabularies.
@Suite(.enabled(if: Fixtures.data != nil, "needs the real models beside the package")) struct TransliterationTaskTests {
    @Test(arguments: [(1, Float(0), "beam1|length_penalty=0"), (4, 1, "beam4|length_penalty=1")])
    func wordsAreTheGoldens(beams: Int, penalty: Float, run: String) throws {
        let data = Fixtures.data ?? ""
        let goldens = try JSON(contentsOf: data + "/goldens/aren-transliteration/expected.json")
        let entries = goldens["runs"]?["aren-transliteration|float32|\(run)"]?.arrayValue ?? []
        #expect(entries.count == 80)
        let folder = data + "/weights/aren-transliteration"
        var writer = try Writer(
            ModelFile(path: folder), WordVocabulary(directory: folder), task: .translation, on: Device(threads: 2))
        (writer.settings.search.beams, writer.settings.search.results) = (beams, beams)
        writer.settings.search.lengthPenalty = penalty
        let written = try writer.write(entries.compactMap { $0["src"]?.stringValue })
        for (found, entry) in zip(written, entries) {
            #expect(found.map(\.text) == entry["hyps"]?.arrayValue?.compactMap(\.stringValue))
            for (one, score) in zip(found, entry["scores"]?.arrayValue?.compactMap(\.doubleValue) ?? []) {
                #expect(abs(Double(one.score) - score) < 1e-5)
            }
        }
    }
}
