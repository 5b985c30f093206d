import Foundation
import Martlet
import MartletFormats
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTokenizers
import TestSupport
import Testing

/// Encoders of sentences as GGUF and back: vectors, tokens, pooling.
@Suite struct SentenceEncoderConversionTests {
    private static let texts = ["Ada walked to London.", "where is the river?", "café 42 unseenword!"]

    /// A copy of a fixture in `folder` whose tokenizer strips accents, as all that GGUF can say do.
    private static func origin(_ name: String, in folder: String) throws -> String {
        try FileManager.default.copyItem(atPath: Fixtures.folder + "/sentences/" + name, toPath: folder)
        let path = folder + "/tokenizer.json"
        // Links within the fixtures lead nowhere from here.
        for file in ["tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
            try FileManager.default.removeItem(atPath: folder + "/" + file)
            try FileManager.default.copyItem(
                atPath: Fixtures.folder + "/tasks/classes/" + file, toPath: folder + "/" + file)
        }
        var json = try JSON(contentsOf: path).objectValue ?? JSONObject()
        var normalizer = json["normalizer"]?.objectValue ?? JSONObject()
        normalizer["strip_accents"] = .null
        json["normalizer"] = .object(normalizer)
        try writeFile(JSON.object(json).serialized(), to: path)
        return folder
    }

    @Test(arguments: ["normalized", "cls", "last", "mean"]) func aGGUFMakesTheSameVectors(_ name: String) async throws {
        let (path, folder) = (Fixtures.temporaryFile(name + ".gguf"), Fixtures.temporaryFile(name))
        let origin = try Self.origin(name, in: Fixtures.temporaryFile(name + "-origin"))
        defer { for item in [path, folder, origin] { try? FileManager.default.removeItem(atPath: item) } }
        let written = try ModelFile(path: origin).convert(to: path)
        #expect(written.caveats.contains { $0.contains("pooler") })
        let (whole, file) = (try await Embedder.load(path: origin), try await Embedder.load(path: path))
        for (vector, found) in zip(try whole.embed(Self.texts), try file.embed(Self.texts)) {
            // Vectors of a GGUF have length 1, as llama.cpp's.
            let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(zip(vector, found).allSatisfy { abs($0 / length - $1) < 1e-5 }, "\(vector) \(found)")
        }
        try ModelFile(path: path).convert(to: folder)
        let (first, second) = (
            try Tokenizer(path: origin + "/tokenizer.json"), try Tokenizer(path: folder + "/tokenizer.json")
        )
        for text in Self.texts { #expect(try first.encode(text) == second.encode(text)) }
    }

    /// A vector that is projected behind the pooling has no word in GGUF.
    @Test func whatGGUFCannotSayIsLeftOut() throws {
        let origin = try Self.origin("dense", in: Fixtures.temporaryFile("dense-origin"))
        defer { try? FileManager.default.removeItem(atPath: origin) }
        var caveats: [String] = []
        let metadata = try TokenizerConversion.metadata(of: ModelFile(path: origin), caveats: &caveats)
        #expect(metadata["bert.pooling_type"] == nil && metadata["tokenizer.ggml.model"] != nil)
        // A tokenizer that keeps accents would be read otherwise.
        let other = try ModelFile(path: Fixtures.folder + "/sentences/dense")
        #expect(throws: TokenizerError.self) { try TokenizerConversion.metadata(of: other, caveats: &caveats) }
    }

    /// An encoder in eight bits: what is read back is what was rounded, and its vectors stay near.
    @Test func anEncoderIsQuantized() async throws {
        let path = Fixtures.temporaryFile("quantized.gguf")
        let origin = try Self.origin("normalized", in: Fixtures.temporaryFile("quantized-origin"))
        defer { for item in [path, origin] { try? FileManager.default.removeItem(atPath: item) } }
        try ModelQuantization(path: origin).write(.q8_0, to: path)
        let (whole, file) = (try await Embedder.load(path: origin), try await Embedder.load(path: path))
        for (vector, found) in zip(try whole.embed(Self.texts), try file.embed(Self.texts)) {
            #expect(zip(vector, found).allSatisfy { abs($0 - $1) < 0.02 }, "\(vector) \(found)")
        }
    }
}

/// Encoders with a head that labels or ranks whole texts as GGUF: the same classes and scores.
@Suite struct ClassifierConversionTests {
    /// A copy of a fixture whose tokenizer strips accents, as all that GGUF can say do.
    private static func origin(_ name: String) throws -> String {
        let folder = Fixtures.temporaryFile("classifier")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            try writeFile(Fixtures.bytes("\(Fixtures.folder)/\(name)/\(file)"), to: "\(folder)/\(file)")
        }
        var json = try JSON(contentsOf: folder + "/tokenizer.json").objectValue ?? JSONObject()
        var normalizer = json["normalizer"]?.objectValue ?? JSONObject()
        normalizer["strip_accents"] = .null
        json["normalizer"] = .object(normalizer)
        try writeFile(JSON.object(json).serialized(), to: folder + "/tokenizer.json")
        return folder
    }

    @Test func aGGUFHasTheSameClasses() async throws {
        let (origin, path) = (try Self.origin("tasks/classes"), Fixtures.temporaryFile("classes.gguf"))
        let back = Fixtures.temporaryFile("classes-back")
        defer { for item in [origin, path, back] { try? FileManager.default.removeItem(atPath: item) } }
        try ModelFile(path: origin).convert(to: path)
        let texts = ["Ada walked to London.", "where is the river?"].map { (text: $0, pair: nil as String?) }
        let wanted = try await Classifier.load(path: origin).classify(texts)
        let classifier = try await Classifier.load(path: path)
        #expect(try classifier.classify(texts) == wanted)
        #expect(try GGUF(contentsOf: path).metadata["bert.pooling_type"]?.json == 4)
        try ModelFile(path: path).convert(to: back)
        let again = try await Classifier.load(path: back)
        #expect(try again.classify(texts) == wanted)
    }

    /// A tokenizer that is not supported is left out of the file, and whoever converts is told.
    @Test func aTokenizerThatIsNotSupportedIsLeftOut() throws {
        let (origin, path) = (try Self.origin("tasks/classes"), Fixtures.temporaryFile("classes.gguf"))
        defer { for item in [origin, path] { try? FileManager.default.removeItem(atPath: item) } }
        try FileManager.default.removeItem(atPath: origin + "/tokenizer.json")
        let settings: JSON = ["tokenizer_class": "BertJapaneseTokenizer"]
        try writeFile(settings.serialized(), to: origin + "/tokenizer_config.json")
        let written = try ModelFile(path: origin).convert(to: path)
        #expect(written.caveats.contains { $0.contains("BertJapaneseTokenizer") }, "\(written.caveats)")
        let metadata = try GGUF(contentsOf: path).metadata
        #expect(metadata["tokenizer.ggml.model"]?.json == "none" && metadata["tokenizer.ggml.tokens"] == nil)
    }

    @Test func aGGUFRanksAlike() async throws {
        let (origin, path) = (try Self.origin("tasks/classes"), Fixtures.temporaryFile("cross.gguf"))
        defer { for item in [origin, path] { try? FileManager.default.removeItem(atPath: item) } }
        // Its first class alone, as a cross-encoder has one.
        let tensors = try Safetensors(directory: origin).tensors.all.map { stored in
            let tensor = try stored.tensor()
            let isOfClasses = stored.name.hasPrefix("classifier.")
            return (name: stored.name, tensor: isOfClasses ? tensor.rows(0..<1) : tensor)
        }
        try Safetensors.write(tensors, to: origin + "/model.safetensors")
        var config = try JSON(contentsOf: origin + "/config.json").objectValue ?? JSONObject()
        config["id2label"] = ["0": "LABEL_0"]
        config["sentence_transformers"] = ["activation_fn": "torch.nn.modules.activation.Sigmoid"]
        try writeFile(JSON.object(config).serialized(), to: origin + "/config.json")
        try ModelFile(path: origin).convert(to: path)
        let documents = ["Ada walked to London.", "where is the river?", "the river"]
        let wanted = try await Reranker.load(path: origin).rank(documents, for: "a river")
        let found = try await Reranker.load(path: path).rank(documents, for: "a river")
        #expect(found == wanted && Set(wanted.map(\.score)).count > 1)
    }

    /// A classifier without the dense layer before its classes, as some converters leave it out.
    @Test func classesMayBeTheOnlyLayer() throws {
        let source = Fixtures.folder + "/gguf/jina-bert-classification-f32.gguf"
        let file = try GGUF(contentsOf: source)
        for (kept, renamed) in [("cls.output", "cls.output"), ("cls.output", "cls")] {
            let path = Fixtures.temporaryFile("single.gguf")
            defer { try? FileManager.default.removeItem(atPath: path) }
            let tensors = try file.tensors.all.filter { !$0.name.hasPrefix("cls") || $0.name.hasPrefix(kept) }.map {
                (
                    name: $0.name.hasPrefix(kept) ? renamed + $0.name.dropFirst(kept.count) : $0.name,
                    tensor: try $0.tensor()
                )
            }
            try GGUF.write(tensors, metadata: file.metadata, to: path)
            let model = try ModelFile(path: path)
            let logits = try ForwardPass.run(model, [[5, 6, 7]], recording: .nothing, on: Device(threads: 1))
            let hidden = try #require(logits.first { $0.name == "hidden.0" }).tensor.values
            let weight = try file.tensors.tensor("cls.output.weight").values
            let bias = try file.tensors.tensor("cls.output.bias").values
            let found = try #require(logits.first { $0.name == "logits.0" }).tensor.values
            for (label, logit) in found.enumerated() {
                let width = weight.count / bias.count
                let sum = (0..<width).reduce(bias[label]) { $0 + hidden[$1] * weight[label * width + $1] }
                #expect(abs(sum - logit) < 1e-4)
            }
        }
    }
}

/// Encoder-decoders as GGUF: they write what they wrote.
@Suite struct WriterConversionTests {
    @Test func aGGUFSaysWhereItsDecoderBegins() throws {
        let origin = Fixtures.folder + "/tasks/summary"
        let path = Fixtures.temporaryFile("summary.gguf")
        defer { try? FileManager.default.removeItem(atPath: path) }
        // Its vocabulary of whole words has no name in GGUF.
        #expect(throws: TokenizerError.self) { try ModelFile(path: origin).convert(to: path) }
        try ModelFile(path: origin).convert(to: path, .init(includesTokenizer: false))
        let (config, written) = (try ModelFile.config(in: origin), try ModelFile(path: path).writingConfig())
        #expect(written["model_type"]?.stringValue == "t5")
        #expect(written["decoder_start_token_id"] == 1)
        #expect(written["num_layers"] == config["num_layers"] && written["d_kv"] == config["d_kv"])
        #expect(written["architectures"] == ["T5ForConditionalGeneration"])
    }
}
