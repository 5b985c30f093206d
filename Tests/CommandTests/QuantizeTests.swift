import Foundation
import MartletFormats
import MartletJSON
import TestSupport
import Testing

/// `martlet quantize` as a script sees it.
@Suite struct QuantizeTests {
    static let model = Fixtures.folder + "/gguf/llama-f32.gguf"

    @Test func writesAndReports() throws {
        let output = Fixtures.temporaryFile("quantized.gguf"), text = Fixtures.temporaryFile("text.txt")
        defer { for path in [output, text] { try? FileManager.default.removeItem(atPath: path) } }
        try Data("the sea and the sand, flying over the warm sea, the sand".utf8).write(to: URL(fileURLWithPath: text))
        let result = try Command.run([
            "quantize", "-m", Self.model, "--type", "q4_k_m", "-o", output, "--calibrate", text, "--report", "--json",
            "--tensor", "ffn_up=q8_0",
        ])
        #expect(result.status == 0, "\(result.errors)")
        let gguf = try GGUF(contentsOf: output)
        #expect(try gguf.metadata.integer("general.file_type") == 15)
        #expect(try gguf.metadata.integer("quantize.imatrix.chunks_count") == 1)
        #expect(gguf.metadata["tokenizer.ggml.tokens"] != nil)
        // Rows of 32 fill no superblock; a tied table is quantized as an output.
        let types = ["token_embd", "blk.0.attn_q", "blk.0.ffn_up"].map { gguf.tensors[$0 + ".weight"]?.type.name }
        #expect(types == ["Q8_0", "Q5_0", "Q8_0"])
        let report = try JSON(parsing: result.output)
        let format = report["formats"]?[0]
        #expect(format?["type"]?.stringValue == "Q4_K_M" && format?["tensors"]?.arrayValue?.count == 8)
        #expect((format?["kl_mean"]?.doubleValue ?? -1) > 0 && (report["tokens"]?.integerValue ?? 0) > 10)
    }

    /// `evaluate` and the report read a text in the same windows, and count the same tokens.
    @Test func perplexityIsThatOfEvaluate() throws {
        let text = Fixtures.temporaryFile("text.txt")
        defer { try? FileManager.default.removeItem(atPath: text) }
        try Data(String(repeating: "the sea and the sand, flying over the warm sea; ", count: 9).utf8).write(
            to: URL(fileURLWithPath: text))
        let options = ["-m", Self.model, "--window", "24", "--json-lines"]
        let report = try Command.run(["quantize", "--report", "--type", "Q8_0", "--text", text] + options)
        let score = try Command.run(["evaluate", "--task", "perplexity", "--data", text] + options)
        #expect(report.status == 0 && score.status == 0, "\(report.errors) \(score.errors)")
        // One object a line.
        #expect(score.output.split(separator: "\n").count == 1)
        let (one, other) = (try JSON(parsing: report.output), try JSON(parsing: score.output))
        #expect(one["tokens"] == other["tokens"])
        let (a, b) = (one["reference_perplexity"]?.doubleValue ?? 0, other["perplexity"]?.doubleValue ?? -1)
        #expect(a > 1 && abs(a / b - 1) < 1e-6, "\(a) \(b)")
    }

    @Test func comparesTypesWithoutWriting() throws {
        let result = try Command.run(["quantize", "-m", Self.model, "--type", "Q8_0,Q4_0", "--report"])
        #expect(result.status == 0, "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 3 && lines[1].hasPrefix("Q8_0") && lines[2].hasPrefix("Q4_0"))
    }

    @Test func wrongUsage() throws {
        for options in [
            [], ["--report", "--type", "Q9"], ["-o", "x.gguf", "--type", "Q8_0,Q4_0"], ["--report", "--tensor", "a"],
            ["--report", "--calibrate", "a", "--importance", "b"], ["-o", "x.gguf", "--text", "a"],
        ] {
            let result = try Command.run(["quantize", "-m", Self.model] + options)
            #expect(result.status == 2, "\(options): \(result.errors)")
        }
    }

    @Test func saysWhatItCannotWrite() throws {
        let output = Fixtures.temporaryFile("quantized.gguf")
        let result = try Command.run(
            ["quantize", "-m", Fixtures.folder + "/families/bert", "--type", "Q8_0", "-o", output])
        #expect(result.status == 1 && result.errors.contains("head.transform.weight"))
        #expect(!FileManager.default.fileExists(atPath: output))
    }
}
