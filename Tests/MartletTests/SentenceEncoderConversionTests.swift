import Foundation
import Martlet
import MartletFormats
import MartletJSON
import MartletModels
import MartletPlatform
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
        let metadata = try TokenizerConversion.metadata(of: ModelFile(path: origin))
        #expect(metadata["bert.pooling_type"] == nil && metadata["tokenizer.ggml.model"] != nil)
        // A tokenizer that keeps accents would be read otherwise.
        let other = try ModelFile(path: Fixtures.folder + "/sentences/dense")
        #expect(throws: TokenizerError.self) { try TokenizerConversion.metadata(of: other) }
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
