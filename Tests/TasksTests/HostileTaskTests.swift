import MartletFormats
import MartletGeneration
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTasks
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// Files beside a model that do not fit it, or ask for lengths that no text has: errors that name what is wrong.
@Suite struct HostileTaskTests {
    private let device = Device(threads: 1)

    /// Copies a fixture into a folder, with `name` replaced by what `change` makes of it.
    private func with(_ fixture: String, _ name: String, _ change: (JSON?) -> JSON, _ body: (String) throws -> Void)
        throws
    {
        let source = Fixtures.folder + "/tasks/" + fixture
        try TemporaryFolder.use { folder in
            for file in Folder.names(in: source) where file != name {
                unsafe symlink(source + "/" + file, folder + "/" + file)
            }
            let before = fileExists(source + "/" + name) ? try JSON(contentsOf: source + "/" + name) : nil
            try writeFile(change(before).serialized(), to: folder + "/" + name)
            try body(folder)
        }
    }

    private func open(_ folder: String) throws -> (ModelFile, Tokenizer) {
        (try ModelFile(path: folder), try Tokenizer(json: JSON(contentsOf: folder + "/tokenizer.json")))
    }

    @Test func tokensBeyondTheModelsVocabularyAreNamed() throws {
        let vocabulary = try ModelFile(path: Fixtures.folder + "/tasks/classes").architecture.vocabulary
        func change(_ json: JSON?) -> JSON {
            var root = json?.objectValue ?? JSONObject()
            let added: JSON = [
                "id": .integer(vocabulary + 3), "content": "zebra", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": false,
            ]
            root["added_tokens"] = .array((root["added_tokens"]?.arrayValue ?? []) + [added])
            return .object(root)
        }
        try with("classes", "tokenizer.json", change) { folder in
            guard let (file, tokenizer) = try? open(folder) else { return }
            let error = #expect(throws: TaskError.self) {
                try Classifier(file, tokenizer, on: device).classify([("a zebra", nil)])
            }
            #expect(error?.description.contains("\(vocabulary + 3)") == true)
            #expect(throws: TaskError.self) { try Embedder(file, tokenizer, on: device).embed(["a zebra"]) }
        }
    }

    @Test func segmentsBeyondTheModelsTableAreNamed() throws {
        func change(_ json: JSON?) -> JSON {
            let text = json?.text() ?? ""
            return (try? JSON(parsing: text.replacing("\"type_id\": 1", with: "\"type_id\": 7"))) ?? .null
        }
        try with("classes", "tokenizer.json", { json in change(json) }) { folder in
            let (file, tokenizer) = try open(folder)
            guard try tokenizer.encoding(of: "a", pair: "b").typeIDs.contains(7) else { return }
            #expect(throws: TaskError.self) { try Classifier(file, tokenizer, on: device).classify([("a", "b")]) }
        }
    }

    @Test(arguments: [Int.min, -1, 0, 1 << 40])
    func lengthsOfSentencesAreReadByRange(_ length: Int) throws {
        try with("classes", "sentence_bert_config.json", { _ in ["max_seq_length": .integer(length)] }) { folder in
            try writeFile(
                Array(#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"}]"#.utf8),
                to: folder + "/modules.json")
            let (file, tokenizer) = try open(folder)
            let error = #expect(throws: (any Error).self) { try Embedder(file, tokenizer, on: device) }
            #expect(error.map { "\($0)" }?.contains("max_seq_length") == true)
        }
    }

    @Test(arguments: ["max_length", "min_length", "num_beams", "no_repeat_ngram_size", "max_new_tokens"])
    func lengthsOfWritingAreReadByRange(_ key: String) throws {
        for value in [Int.min, -3, 1 << 40] {
            func change(_ json: JSON?) -> JSON {
                var root = json?.objectValue ?? JSONObject()
                root[key] = .integer(value)
                return .object(root)
            }
            try with("translation", "generation_config.json", change) { folder in
                let (file, tokenizer) = try open(folder)
                let error = #expect(throws: (any Error).self) { try Writer(file, tokenizer, task: nil, on: device) }
                #expect(error.map { "\($0)" }?.contains(key) == true)
            }
        }
    }

    /// A relative position has no limit; a length must have one.
    @Test func lengthsWithoutAContextHaveACap() throws {
        func change(_ json: JSON?) -> JSON {
            var root = json?.objectValue ?? JSONObject()
            root["max_length"] = .integer(1 << 30)
            return .object(root)
        }
        for fixture in ["translation", "translation-pieces", "summary"]
        where fileExists(Fixtures.folder + "/tasks/\(fixture)/tokenizer.json") {
            try with(fixture, "generation_config.json", change) { folder in
                let (file, tokenizer) = try open(folder)
                let writer = try Writer(file, tokenizer, task: nil, on: device)
                guard file.architecture.context == nil else { return }
                #expect(writer.settings.search.maximumTokens == 4_096)
            }
        }
    }
}
