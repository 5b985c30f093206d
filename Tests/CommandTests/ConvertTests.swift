import Foundation
import MartletFormats
import MartletJSON
import MartletTensors
import TestSupport
import Testing

/// `martlet convert` there and back: the same numbers and the same tokens.
@Suite struct ConvertTests {
    static let texts = ["the sea and the sand", "flying <|end|> over\n 12345 ünï", "  two  blanks"]

    private static func logits(_ model: String, _ folder: String) throws -> [Float] {
        let output = folder + "/forward.safetensors"
        let result = try Command.run(
            ["forward", "-m", model, "--tokens", "1,2,3,40,41,42", "-o", output, "--force"])
        #expect(result.status == 0, "\(result.errors)")
        return try Safetensors(contentsOf: output).tensors.tensor("logits.0").values
    }

    private static func tokens(_ model: String) throws -> String {
        let result = try Command.run(
            ["tokenize", "-m", model, "--json", "--lines", "-"], input: texts.joined(separator: "\n"))
        #expect(result.status == 0, "\(result.errors)")
        return result.output
    }

    private static func convert(_ model: String, _ output: String, _ options: [String] = []) throws {
        let result = try Command.run(["convert", "-m", model, "-o", output] + options)
        #expect(result.status == 0 && result.output.isEmpty, "\(result.errors)")
    }

    @Test(arguments: [
        "llama-f16", "qwen2-f32", "gpt2-f16", "llama-bf16", "mixtral-f32", "qwen3moe-f16", "gemma2-f32", "gemma3-f16",
    ])
    func ggufThereAndBack(name: String) throws {
        let model = "\(Fixtures.folder)/gguf/\(name).gguf"
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (logits, tokens) = (try Self.logits(model, folder), try Self.tokens(model))
        let (directory, again) = (folder + "/directory", folder + "/again.gguf")
        try Self.convert(model, directory)
        // Norm weights less 1, and plus 1 again, round.
        let isRounded = name.hasPrefix("gemma")
        let closeness: Float = isRounded ? 1e-5 : .leastNonzeroMagnitude
        #expect(Comparison(try Self.logits(directory, folder), logits, absolute: closeness).withinTolerance)
        #expect(try Self.tokens(directory) == tokens)
        try Self.convert(directory, again)
        #expect(Comparison(try Self.logits(again, folder), logits, absolute: closeness).withinTolerance)
        #expect(try Self.tokens(again) == tokens)
        let (first, second) = (try GGUF(contentsOf: model).metadata, try GGUF(contentsOf: again).metadata)
        for key in ["tokens", "merges", "token_type", "bos_token_id", "eos_token_id"] {
            let key = "tokenizer.ggml." + key
            #expect(first[key]?.json == second[key]?.json, "\(key)")
        }
    }

    @Test func weightsChangeTheirType() throws {
        let output = Fixtures.temporaryFile("converted.gguf")
        defer { try? FileManager.default.removeItem(atPath: output) }
        try Self.convert(Fixtures.folder + "/gguf/llama-q8_0.gguf", output, ["--type", "f16"])
        let tensors = try GGUF(contentsOf: output).tensors
        #expect(tensors["blk.0.ffn_up.weight"]?.type.elementType == .f16)
    }

    @Test func whatGGUFCannotSayIsRefused() throws {
        let output = Fixtures.temporaryFile("refused.gguf")
        let result = try Command.run(["convert", "-m", Fixtures.folder + "/families/gpt2-unscaled", "-o", output])
        #expect(result.status == 1 && result.errors.contains("cannot say"))
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    /// A vocabulary of SentencePiece: merges become scores and merges again.
    @Test(.enabled(if: Fixtures.data != nil)) func sentencePieceVocabularies() throws {
        let model = (Fixtures.data ?? "") + "/weights/stories260K"
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let tokens = try Self.tokens(model)
        try Self.convert(model, folder + "/model.gguf")
        #expect(try Self.tokens(folder + "/model.gguf") == tokens)
        try Self.convert(folder + "/model.gguf", folder + "/directory")
        #expect(try Self.tokens(folder + "/directory") == tokens)
        #expect(try Self.logits(folder + "/directory", folder) == Self.logits(model, folder))
    }
}
