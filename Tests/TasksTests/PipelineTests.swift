import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// The tasks against transformers' pipelines: tiny random models with their tokenizers, made by
/// Tools/fixtures/tasks.py.
@Suite struct PipelineTests {
    /// The question to a pipeline, and its answer.
    struct Case {
        let asked: JSON
        let answer: JSON
    }

    static func open(_ name: String) throws -> (ModelFile, Tokenizer, Device, [Case]) {
        let folder = Fixtures.folder + "/tasks/" + name
        let cases = try JSON(contentsOf: folder + "/expected.json")["cases"]?.arrayValue ?? []
        #expect(!cases.isEmpty)
        return (
            try ModelFile(path: folder), try Tokenizer(json: Fixtures.bytes(folder + "/tokenizer.json")),
            Device(threads: 2),
            cases.compactMap { entry in
                entry[0].flatMap { asked in entry[1].map { Case(asked: asked, answer: $0) } }
            }
        )
    }

    /// Equal but for the numbers, which are close.
    static func agree(_ found: JSON, _ wanted: JSON) -> Bool {
        if let a = found.arrayValue, let b = wanted.arrayValue {
            return a.count == b.count && zip(a, b).allSatisfy { agree($0, $1) }
        }
        if found.integerValue == nil || wanted.integerValue == nil, let a = found.doubleValue,
            let b = wanted.doubleValue
        {
            return abs(a - b) < 2e-5
        }
        return found == wanted
    }

    static func score(_ value: Float) -> JSON { .number(Double(value)) }

    @Test(arguments: ["tags", "tags-bytes"]) func spans(name: String) throws {
        let (file, tokenizer, device, cases) = try Self.open(name)
        let tagger = try Tagger(file, tokenizer, on: device)
        for entry in cases {
            let aggregation = Tagger.Aggregation(rawValue: entry.asked["aggregation"]?.stringValue ?? "")
            let spans = try tagger.tag([entry.asked["text"]?.stringValue ?? ""], #require(aggregation))[0]
            let found = spans.map { span -> JSON in
                [.string(span.label), .integer(span.start), .integer(span.end), Self.score(span.score)]
            }
            #expect(Self.agree(.array(found), entry.answer), "\(entry.asked) gives \(found)")
        }
    }

    /// In overlapping windows; Longformer's questions are seen from everywhere.
    @Test(arguments: ["answers", "answers-long"]) func answers(name: String) throws {
        let (file, tokenizer, device, cases) = try Self.open(name)
        let answerer = try Answerer(file, tokenizer, on: device)
        for entry in cases {
            func number(_ key: String) -> Int { entry.asked[key]?.integerValue ?? 0 }
            var options = Answerer.Options()
            (options.window, options.overlap) = (number("max_seq_len"), number("doc_stride"))
            (options.longestAnswer, options.results) = (number("max_answer_len"), number("top_k"))
            if entry.asked["handle_impossible_answer"]?.boolValue == true { options.noAnswer = .possible }
            let asked = (entry.asked["question"]?.stringValue ?? "", entry.asked["context"]?.stringValue ?? "")
            let found = try answerer.answer([asked], options)[0].map { answer -> JSON in
                [.string(answer.text), .integer(answer.start), .integer(answer.end), Self.score(answer.score)]
            }
            #expect(Self.agree(.array(found), entry.answer), "\(asked.0) gives \(found)")
        }
    }

    @Test func fillings() throws {
        let (file, tokenizer, device, cases) = try Self.open("fillings")
        let filler = try MaskFiller(file, tokenizer, on: device)
        for entry in cases {
            let count = entry.asked["top_k"]?.integerValue ?? 0
            let masks = try filler.fill([entry.asked["text"]?.stringValue ?? ""], count: count)[0]
            let found = masks.map { mask in
                JSON.array(mask.map { [.integer(Int($0.token)), Self.score($0.probability)] })
            }
            #expect(Self.agree(.array(found), entry.answer), "\(entry.asked) gives \(found)")
        }
    }

    /// One of many, any of many, a number; on an encoder, a decoder and an encoder-decoder.
    @Test(arguments: ["classes", "classes-many", "classes-number", "classes-decoder", "classes-bart"])
    func classes(name: String) throws {
        let (file, tokenizer, device, cases) = try Self.open(name)
        let classifier = try Classifier(file, tokenizer, on: device)
        for entry in cases {
            let text = (text: entry.asked["text"]?.stringValue ?? "", pair: entry.asked["text_pair"]?.stringValue)
            let found = try classifier.classify([text])[0].map { score -> JSON in
                [.string(score.label), Self.score(score.score)]
            }
            #expect(Self.agree(.array(found), entry.answer), "\(text) gives \(found)")
        }
    }

    /// Marian's own files: two SentencePiece models and one table; one of the texts names the language to write.
    @Test func textsOfMarianPieces() throws {
        let folder = Fixtures.folder + "/tasks/translation-pieces"
        let file = try ModelFile(path: folder)
        let vocabulary = try MarianVocabulary(directory: folder)
        let device = Device(threads: 2)
        let writer = try Writer(file, vocabulary, task: .translation, on: device)
        let german = try Writer(file, vocabulary, task: .translation, .init(target: "deu"), on: device)
        let cases = try JSON(contentsOf: folder + "/expected.json")["cases"]?.arrayValue ?? []
        #expect(cases.count == 3)
        for entry in cases {
            let text = entry[0]?["text"]?.stringValue ?? ""
            #expect(try writer.write([text])[0][0].text == entry[1]?.stringValue)
            guard text.hasPrefix(">>deu<< ") else { continue }
            #expect(try german.write([String(text.dropFirst(8))])[0][0].text == entry[1]?.stringValue)
        }
        #expect(throws: TaskError.self) {
            try Writer(file, vocabulary, task: .translation, .init(target: "fra"), on: device)
        }
    }

    /// With four beams, as generation_config.json or config.json ask.
    @Test(arguments: [("translation", Writer.Task.translation), ("summary", .summarization)])
    func texts(name: String, task: Writer.Task) throws {
        let (file, tokenizer, device, cases) = try Self.open(name)
        let writer = try Writer(file, tokenizer, task: task, on: device)
        #expect(writer.settings.search.beams == 4)
        for entry in cases {
            let written = try writer.write([entry.asked["text"]?.stringValue ?? ""])[0][0].text
            #expect(written == entry.answer.stringValue)
        }
    }
}
